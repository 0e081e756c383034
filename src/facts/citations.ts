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
  /** Our declaration right below, where the citation opens its comment. */
  readonly declares: string | null;
  /** Other commits that the comment names, as short as it does. */
  readonly commits: readonly string[];
}

const cFile = String.raw`((?:[\w.-]+\/)*[\w-]+\.[ch])(?![\w/])`;
/** `:734` is there, ` ~734` near there; of `:84-137` the first line counts. */
const line = String.raw`((?::|\s~)\d+(?:-\d+)?)?`;
/** A commit in the prose: letters and figures, so that no plain number counts. */
const commit = /(?<![\w.-])(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?![\w-])/g;
/** Revision and C file, as every port writes them. */
const start = new RegExp(String.raw`(?<=^|[\s(])([0-9a-f]{7,40}|v\d+\.\d+(?:\.\d+)*) ${cFile}${line}`, 'g');
const templated = /(?<=^|\s)FNAME\((\w+)\) $/;
const nextFile = new RegExp(`^${cFile}${line}`);
const tagged = new RegExp(String.raw`^(?:struct|union|enum) (\w+)${line}`);
const plain = new RegExp(String.raw`^(?:FNAME\((\w+)\)|([A-Za-z_]\w*)(?:\(\))?)${line}`);
const connector = /^(?:, and | and |, |; )/;

/** What one comment cites, in its order. `file` is the file of the comment. */
export function citationsOf({ text, lineAt, declares }: Comment, file: string): Citation[] {
  const named = commitsIn(text);
  return readingsOf(text).flatMap(({ index, opens, revision, items, whole }) => {
    const [first] = items;
    // A doc comment that begins with file and line, or is nothing but the file, is about the declaration below it.
    const isHeadline = opens && items.length === 1 && (first!.line !== null || whole);
    const place = {
      at: `${file}:${lineAt(index)}`,
      revision,
      declares: opens ? declares : null,
      commits: named.filter((sha) => sha !== revision),
    };
    return items.map(({ path, symbol, line, about }) => ({
      ...place,
      path,
      symbol: symbol ?? (isHeadline ? declares : null),
      line,
      about,
    }));
  });
}

/** The commits that a text names, as short as it does. */
export const commitsIn = (text: string): string[] => [...text.matchAll(commit)].map(([sha]) => sha);

/** A line of a source without the revisions and lines that it cites: the same for two kernels that have the same there. */
export function uncited(text: string): string {
  let left = '';
  let from = 0;
  for (const [first, last] of readingsOf(text).flatMap(({ spans }) => spans)) {
    left += text.slice(from, first);
    from = last;
  }
  // A list may go on from the line above, and has its revision there.
  return (left + text.slice(from)).replace(/(?<=\.[ch]):\d+(?:-\d+)?/g, '');
}

/** First position, and the one behind the last. */
type Span = readonly [first: number, last: number];
type Spot = Pick<Citation, 'line' | 'about'>;
type Item = Spot & Pick<Citation, 'path' | 'symbol'>;

/** A revision in a text, with everything that is listed behind it. */
interface Reading {
  readonly index: number;
  /** The text begins with it. */
  readonly opens: boolean;
  /** The text is nothing but the revision, a file and at most a line. */
  readonly whole: boolean;
  readonly revision: string;
  readonly items: readonly Item[];
  /** The revision and each line, which other kernels have otherwise. In their order. */
  readonly spans: readonly Span[];
}

function readingsOf(text: string): Reading[] {
  return [...text.matchAll(start)].map((match) => {
    const [found, revision, path, spotText] = match;
    const { index } = match;
    const behind = index + found.length;
    const before = templated.exec(text.slice(0, index));
    const spot = spotOf(spotText);
    const { items, spans }: Listed = before
      ? { items: [{ path: path!, symbol: before[1]!, ...spot }], spans: [] }
      : listed(text.slice(behind), path!, spot);
    return {
      index,
      opens: (before?.index ?? index) === 0,
      whole: index === 0 && behind === text.length,
      revision: revision!,
      items,
      spans: [
        [index, index + revision!.length],
        [behind - (spotText?.length ?? 0), behind],
        ...spans.map(([first, last]): Span => [behind + first, behind + last]),
      ],
    };
  });
}

type Listed = Pick<Reading, 'items' | 'spans'>;

const nowhere: Spot = { line: null, about: false };

/** The list behind a file: symbols, with lines at will, and further files, until the prose begins. */
function listed(text: string, firstPath: string, firstSpot: Spot): Listed {
  const items: Item[] = [];
  const spans: Span[] = [];
  // The file that is being listed, the line behind it (which is that of its first symbol), and whether it has one yet.
  let at = { path: firstPath, spot: firstSpot, bare: true };
  let rest = text;
  const close = (): void => {
    if (at.bare) items.push({ path: at.path, symbol: null, ...at.spot });
  };
  /** Goes behind an item, which ends with its line if it has one. */
  const pass = (item: string, length: number, spotText: string | undefined): void => {
    rest = item.slice(length);
    const behind = text.length - rest.length;
    if (spotText !== undefined) spans.push([behind - spotText.length, behind]);
  };
  for (let gap = /^ /.exec(rest); gap; gap = gapBefore(rest, at.bare)) {
    const item = rest.slice(gap[0].length);
    const further = gap[0] === ' ' ? null : nextFile.exec(item);
    if (further) {
      close();
      at = { path: further[1]!, spot: spotOf(further[2]), bare: true };
      pass(item, further[0].length, further[2]);
      continue;
    }
    const symbol = symbolAt(item, gap[0] === ' ');
    if (!symbol) break;
    const spot = spotOf(symbol.spotText);
    items.push({ path: at.path, symbol: symbol.name, ...(spot.line === null ? at.spot : spot) });
    at = { path: at.path, spot: nowhere, bare: false };
    pass(item, symbol.length, symbol.spotText);
  }
  close();
  return { items, spans };
}

/** What stands between two items: a space only between a file and its first symbol. */
const gapBefore = (rest: string, bare: boolean): RegExpExecArray | null =>
  (bare ? /^ (?!and )/.exec(rest) : null) ?? connector.exec(rest);

interface Found {
  readonly name: string;
  readonly spotText: string | undefined;
  readonly length: number;
}

/** A C name at the start of the text. A word without underscore counts only right behind the file and before no prose. */
function symbolAt(text: string, first: boolean): Found | null {
  const type = tagged.exec(text);
  if (type) return { name: type[1]!, spotText: type[2], length: type[0].length };
  const word = plain.exec(text);
  if (!word) return null;
  const [{ length }, inner, outer, spotText] = word;
  const name = inner ?? outer!;
  const certain = inner !== undefined || name.includes('_') || spotText !== undefined;
  if (!certain && !(first && /^(?:$|[:;]|\.(?:\s|$)| \()/.test(text.slice(length)))) return null;
  return { name, spotText, length };
}

function spotOf(text: string | undefined): Spot {
  const [, about, digits] = /^(?::|(\s~))(\d+)/.exec(text ?? '') ?? [];
  return digits === undefined ? nowhere : { line: Number(digits), about: about !== undefined };
}
