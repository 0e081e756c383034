// SPDX-License-Identifier: GPL-2.0-only
import type { Comment } from './comments.ts';

/** A line of the project that names a place in the kernel: a revision, a file, and mostly a function there. */
export interface Citation {
  /** Where we say it, e.g. `snapshots/2022-02-v5.17/calc.ts:272`. */
  readonly at: string;
  readonly revision: string;
  /** As written: `mmu.c`, `svm/nested.c`, `arch/x86/kvm/x86.c`. */
  readonly path: string;
  /** Function, macro, struct or variable; null when the file alone is named. */
  readonly symbol: string | null;
  /** 1-based line in the C file, null when none is given. */
  readonly line: number | null;
  /** The line is written `~734`: near there. */
  readonly about: boolean;
  /** Our function right below, where the citation opens its comment. */
  readonly declares: string | null;
  /** Other commits that the comment names, as short as it does. */
  readonly commits: readonly string[];
}

const cFile = String.raw`((?:[\w.-]+\/)*[\w-]+\.[ch])(?![\w/])`;
const line = String.raw`(?::(\d+)|\s~(\d+))?(?:-\d+)?`;
/** A commit in the prose: letters and figures, so that no plain number counts. */
const commit = /(?<![\w.-])(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?![\w-])/g;
/** Revision and C file, as every port writes them. */
const start = new RegExp(String.raw`(?<=^|[\s(])([0-9a-f]{7,40}|v\d+\.\d+(?:\.\d+)*) ${cFile}${line}`, 'g');
const nextFile = new RegExp(`^${cFile}${line}`);
const tagged = new RegExp(String.raw`^(?:struct|union|enum) (\w+)${line}`);
const plain = new RegExp(String.raw`^(?:FNAME\((\w+)\)|([A-Za-z_]\w*)(?:\(\))?)${line}`);
const connector = /^(?:, and | and |, |; )/;

/** What one comment cites, in its order. `file` is the file of the comment. */
export function citationsOf({ text, lineAt, declares }: Comment, file: string): Citation[] {
  const found: Citation[] = [];
  for (const match of text.matchAll(start)) {
    const [whole, revision, path] = match;
    const tail = text.slice(match.index + whole.length);
    const spot = spotOf(match[3], match[4]);
    const before = /FNAME\((\w+)\) $/.exec(text.slice(0, match.index))?.[1];
    const named: Named[] = before ? [{ path: path!, symbol: before, ...spot }] : namesAfter(tail, path!, spot);
    // A doc comment that begins with file and line, or is nothing but the file, is about the function below it.
    const headline = match.index === 0 && (spot.line !== null || tail === '');
    const belowIt = headline && named.length === 1 && named[0]!.symbol === null ? declares : null;
    const commits = [...text.matchAll(commit)].map(([sha]) => sha).filter((sha) => sha !== revision);
    const place = { at: `${file}:${lineAt(match.index)}`, declares: match.index === 0 ? declares : null, commits };
    for (const one of named) found.push({ ...place, revision: revision!, ...one, symbol: one.symbol ?? belowIt });
  }
  return found;
}

type Spot = Pick<Citation, 'line' | 'about'>;
type Named = Spot & Pick<Citation, 'path' | 'symbol'>;

const nowhere: Spot = { line: null, about: false };

/** The list behind a file: symbols, with lines at will, and further files, until the prose begins. */
function namesAfter(text: string, firstPath: string, firstSpot: Spot): Named[] {
  const named: Named[] = [];
  // The file that is being listed, the line behind it (which is that of its first symbol), and whether it has one yet.
  let at = { path: firstPath, spot: firstSpot, bare: true };
  const close = (): void => {
    if (at.bare) named.push({ path: at.path, symbol: null, ...at.spot });
  };
  let rest = text;
  for (let gap = /^ /.exec(rest); gap; gap = gapBefore(rest, at.bare)) {
    const item = rest.slice(gap[0].length);
    const further = gap[0] === ' ' ? null : nextFile.exec(item);
    if (further) {
      close();
      at = { path: further[1]!, spot: spotOf(further[2], further[3]), bare: true };
      rest = item.slice(further[0].length);
      continue;
    }
    const symbol = symbolAt(item, gap[0] === ' ');
    if (!symbol) break;
    named.push({ path: at.path, symbol: symbol.name, ...(symbol.spot.line === null ? at.spot : symbol.spot) });
    at = { path: at.path, spot: nowhere, bare: false };
    rest = item.slice(symbol.length);
  }
  close();
  return named;
}

/** What stands between two items: a space only between a file and its first symbol. */
const gapBefore = (rest: string, bare: boolean): RegExpExecArray | null =>
  (bare ? /^ (?!and )/.exec(rest) : null) ?? connector.exec(rest);

interface Found {
  readonly name: string;
  readonly spot: Spot;
  readonly length: number;
}

/** A C name at the start of the text. A word without underscore counts only right behind the file and before no prose. */
function symbolAt(text: string, first: boolean): Found | null {
  const type = tagged.exec(text);
  if (type) return { name: type[1]!, spot: spotOf(type[2], type[3]), length: type[0].length };
  const word = plain.exec(text);
  if (!word) return null;
  const [whole, inner, outer] = word;
  const spot = spotOf(word[3], word[4]);
  const name = inner ?? outer!;
  const certain = inner !== undefined || name.includes('_') || spot.line !== null;
  if (!certain && !(first && /^(?:$|[:;]|\.(?:\s|$)| \()/.test(text.slice(whole.length)))) return null;
  return { name, spot, length: whole.length };
}

/** `:734` or ` ~734`. */
function spotOf(exact: string | undefined, about: string | undefined): Spot {
  if (exact !== undefined) return { line: Number(exact), about: false };
  return about === undefined ? nowhere : { line: Number(about), about: true };
}
