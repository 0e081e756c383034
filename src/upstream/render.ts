// SPDX-License-Identifier: GPL-2.0-only
import { diffWordsWithSpace } from 'diff';
import { type Hunk, type PatchFile, patchText } from './patch.ts';

/** What a line or a piece of one is, for a terminal that has colours. */
export type Role = 'head' | 'hunk' | 'old' | 'new';

/** Colours a text, or leaves it as it is. */
export type Paint = (role: Role, text: string) => string;

export const plainPaint: Paint = (_role, text) => text;

/** git's own colours. */
const codes: Readonly<Record<Role, string>> = { head: '1', hunk: '36', old: '31', new: '32' };

export const colourPaint: Paint = (role, text) => `\u001b[${codes[role]}m${text}\u001b[m`;

/** The diff as git prints it. */
export function patchLines(files: readonly PatchFile[], paint: Paint): string {
  if (paint === plainPaint) return patchText(files);
  return files
    .flatMap(({ header, hunks }) => [
      ...header.map((line) => paint('head', line)),
      ...hunks.flatMap(({ header: at, lines }) => [hunkLine(at, paint), ...lines.map((line) => signed(line, paint))]),
    ])
    .map((line) => `${line}\n`)
    .join('');
}

const signed = (line: string, paint: Paint): string =>
  line.startsWith('+') ? paint('new', line) : line.startsWith('-') ? paint('old', line) : line;

/** Only the line numbers are coloured, not the function that follows. */
const hunkLine = (header: string, paint: Paint): string => header.replace(/^@@ .*? @@/, (at) => paint('hunk', at));

/** The diff word by word, as `git diff --word-diff`: `[-before-]{+after+}`, lines without a sign in front. */
export function wordLines(files: readonly PatchFile[], paint: Paint): string {
  return files
    .flatMap(({ header, hunks }) => [
      ...header.map((line) => paint('head', line)),
      ...hunks.flatMap((hunk) => [hunkLine(hunk.header, paint), ...wordHunk(hunk, paint)]),
    ])
    .map((line) => `${line}\n`)
    .join('');
}

function wordHunk({ lines }: Hunk, paint: Paint): string[] {
  const shown: string[] = [];
  let [old, now]: [string[], string[]] = [[], []];
  const flush = (): void => {
    if (old.length + now.length > 0) shown.push(...words(old, now, paint));
    [old, now] = [[], []];
  };
  for (const line of lines) {
    if (line.startsWith('-')) {
      // A removal after an addition begins another change.
      if (now.length > 0) flush();
      old.push(line.slice(1));
    } else if (line.startsWith('+')) now.push(line.slice(1));
    else {
      flush();
      shown.push(line.startsWith('\\') ? line : line.slice(1));
    }
  }
  flush();
  return shown;
}

function words(old: readonly string[], now: readonly string[], paint: Paint): string[] {
  const ended = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  const text = diffWordsWithSpace(ended(old), ended(now))
    .map(({ value, added, removed }) =>
      // Marks close at the end of a line, and an empty piece has none.
      value
        .split('\n')
        .map((piece) => {
          if (piece === '') return '';
          if (added) return paint('new', `{+${piece}+}`);
          return removed ? paint('old', `[-${piece}-]`) : piece;
        })
        .join('\n'),
    )
    .join('');
  return text.replace(/\n$/, '').split('\n');
}

/** Lines added and removed in each file, as `git diff --stat`, in at most `width` columns. */
export function statLines(files: readonly PatchFile[], width: number, paint: Paint): string {
  const rows = files.map((file) => {
    const lines = file.hunks.flatMap((hunk) => hunk.lines);
    const added = lines.filter((line) => line.startsWith('+')).length;
    return { name: fileName(file), added, removed: lines.filter((line) => line.startsWith('-')).length };
  });
  const nameWidth = Math.max(0, ...rows.map(({ name }) => name.length));
  const most = Math.max(0, ...rows.map(({ added, removed }) => added + removed));
  const countWidth = String(most).length;
  const room = Math.max(10, width - nameWidth - countWidth - 5);
  const scaled = (count: number): number =>
    most <= room || count === 0 ? count : Math.max(1, Math.floor((count * room) / most));
  const lines = rows.map(({ name, added, removed }) => {
    const bar = paint('new', '+'.repeat(scaled(added))) + paint('old', '-'.repeat(scaled(removed)));
    return ` ${name.padEnd(nameWidth)} | ${String(added + removed).padStart(countWidth)} ${bar}`.trimEnd();
  });
  const sum = (pick: (row: (typeof rows)[number]) => number): number => rows.reduce((all, row) => all + pick(row), 0);
  const [added, removed] = [sum((row) => row.added), sum((row) => row.removed)];
  const total = [
    plural(rows.length, 'file', ' changed'),
    ...(added > 0 || removed === 0 ? [plural(added, 'insertion', '(+)')] : []),
    ...(removed > 0 || added === 0 ? [plural(removed, 'deletion', '(-)')] : []),
  ].join(', ');
  return `${[...lines, ` ${total}`].join('\n')}\n`;
}

const plural = (count: number, what: string, after: string): string =>
  `${count} ${what}${count === 1 ? '' : 's'}${after}`;

/** `path`, or as git does for a file that moved, `common/{old => new}/common`. */
function fileName({ oldPath, newPath }: PatchFile): string {
  if (oldPath === null || newPath === null || oldPath === newPath) return newPath ?? oldPath ?? '';
  const [old, now] = [oldPath.split('/'), newPath.split('/')];
  let head = 0;
  while (head < Math.min(old.length, now.length) - 1 && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++;
  const middle = (parts: readonly string[]): string => parts.slice(head, parts.length - tail).join('/');
  const moved = `${middle(old)} => ${middle(now)}`;
  if (head + tail === 0) return moved;
  return [...now.slice(0, head), `{${moved}}`, ...now.slice(now.length - tail)].join('/');
}
