// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../root.ts';
import { type Citation, citationsOf } from './citations.ts';
import { commentsOf } from './comments.ts';
import type { Declaration } from './declarations.ts';
import { pathIn } from './kernel-paths.ts';
import { usesTable } from './uses.ts';

/** A place in the kernel's sources. */
export interface KernelPlace {
  /** As written: leading digits of a sha, or a tag. */
  readonly revision: string;
  /** From the top of the tree. */
  readonly path: string;
  /** 1-based; null when none is given, or only about where. */
  readonly line: number | null;
}

const ofPorts = new Map<string, readonly Citation[]>();
const ofUses = new Map<string, readonly Citation[]>();

/** Everything that the port in one folder of snapshots/ cites in the comments of its files. Read once a process. */
export const citedByPort = (folder: string): readonly Citation[] => once(ofPorts, folder, readPort);

/**
 * What the table of uses of one era cites; the revision of what a series added that was never merged is the era's id.
 * Read once a process.
 */
export const citedByUses = (era: string): readonly Citation[] => once(ofUses, era, readUses);

/** What the doc comment of a declaration begins with; null when that is no citation. `port` is its folder. */
export function citationOf({ name, first, comment }: Declaration, port: string): KernelPlace | null {
  const cited = citationsOf({ text: comment ?? '', lineAt: () => first, declares: name }, port);
  return opening(cited, name, port);
}

/** Each declaration of a port whose comment begins with a citation, with the place; the first of a name counts. */
export function citedFunctions(port: string): ReadonlyMap<string, KernelPlace> {
  const cited = citedByPort(port);
  const names = new Set(cited.map(({ declares }) => declares));
  const found = new Map<string, KernelPlace>();
  for (const name of names) if (name !== null) found.set(name, opening(cited, name, port)!);
  return found;
}

/** Of a list of places the one that the declaration is called after, else the first. */
function opening(cited: readonly Citation[], name: string, port: string): KernelPlace | null {
  const own = cited.filter(({ declares }) => declares === name);
  const place = own.find(({ symbol }) => symbol === name) ?? own[0];
  if (!place) return null;
  const { revision, path, line, about } = place;
  return { revision, path: pathIn(port, path), line: about ? null : line };
}

function once(known: Map<string, readonly Citation[]>, key: string, read: (key: string) => Citation[]) {
  const found = known.get(key) ?? read(key);
  known.set(key, found);
  return found;
}

function readPort(port: string): Citation[] {
  const root = join(projectRoot().folder, 'snapshots', port);
  return readdirSync(root)
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .flatMap((name) => {
      const source = readFileSync(join(root, name), 'utf8');
      return commentsOf(source).flatMap((comment) => citationsOf(comment, `snapshots/${port}/${name}`));
    });
}

function readUses(era: string): Citation[] {
  return usesTable(era).rows.map((row, index) => ({
    at: `commits/uses/${era}.json row ${index + 1}`,
    revision: row.source,
    path: row.file,
    symbol: row.function,
    line: row.line ?? null,
    about: false,
    declares: null,
    commits: [],
  }));
}
