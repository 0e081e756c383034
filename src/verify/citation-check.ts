// SPDX-License-Identifier: GPL-2.0-only
import type { Citation } from '../facts/index.ts';
import type { CFile, CFiles } from './files.ts';
import { compared, unchecked, unreadable } from './findings.ts';
import type { Finding } from './model.ts';
import type { CSymbol } from './symbols.ts';

/** How far a line written `~734` may be from the function it is about. */
const nearby = 40;

/** What a check of a cited place is about. */
export function subjectOf({ path, symbol, line, at }: Citation, revision: string) {
  const where = symbol === null ? path : `${symbol} in ${path}`;
  return { kind: 'citation', what: line === null ? where : `${where}, line ${line}`, revision, places: [at] } as const;
}

/** What to read for a citation; `instead`: the revision is one that --at names, where lines may have moved. */
export interface Reading {
  readonly revision: string;
  readonly instead: boolean;
}

/** One cited place: the file is there, the function is defined in it, and the line is one of the function's. */
export async function checkCitation(citation: Citation, reading: Reading, files: CFiles): Promise<Finding> {
  const { path, symbol, line } = citation;
  const { revision, instead } = reading;
  const subject = subjectOf(citation, revision);
  const found = await files.cited(revision, path);
  if (!Array.isArray(found)) return unreadable(subject, found);
  if (found.length === 0) return compared(subject, [`there is no file ${path}`]);
  const missing = symbol === null ? [] : definitionMissing(found, symbol);
  if (missing.length > 0) return compared(subject, missing);
  const moved = symbol === null ? lineMissing(found, line) : lineOutside(found, symbol, citation);
  if (instead && moved.length > 0) return unchecked(subject, `the lines of ${revision} (--at) are others`);
  return compared(subject, moved);
}

function lineMissing(files: readonly CFile[], line: number | null): string[] {
  const longest = files.reduce((a, b) => (b.lines > a.lines ? b : a));
  return line === null || line <= longest.lines ? [] : [`${longest.path} has ${longest.lines} lines, we say ${line}`];
}

const placesOf = (files: readonly CFile[], symbol: string): (CSymbol & { readonly path: string })[] =>
  files.flatMap(({ path, symbols }) => (symbols.get(symbol) ?? []).map((place) => ({ path, ...place })));

function definitionMissing(files: readonly CFile[], symbol: string): string[] {
  const places = placesOf(files, symbol);
  if (places.some(({ kind }) => kind !== 'prototype')) return [];
  const where = files.map(({ path }) => path).join(' and ');
  return [places.length > 0 ? `only a declaration of ${symbol} in ${where}` : `no ${symbol} in ${where}`];
}

function lineOutside(files: readonly CFile[], symbol: string, { line, about }: Citation): string[] {
  if (line === null) return [];
  const defined = placesOf(files, symbol).filter(({ kind }) => kind !== 'prototype');
  const slack = about ? nearby : 0;
  if (defined.some(({ first, last }) => line >= first - slack && line <= last + slack)) return [];
  return [`${symbol} is at ${defined.map(spot).join(' and ')}, we say ${about ? 'about ' : ''}line ${line}`];
}

const spot = ({ path, first, last }: CSymbol & { path: string }): string =>
  first === last ? `${path}:${first}` : `${path}:${first}-${last}`;
