// SPDX-License-Identifier: GPL-2.0-only
import { isBelow } from './paths.ts';

/** One hunk of a unified diff. */
export interface Hunk {
  /** The whole `@@ -1,7 +1,9 @@ function` line. */
  readonly header: string;
  /** Line that the first line of the hunk is, or would be, on each side: `@@ -0,0` is 1, too. */
  readonly oldStart: number;
  readonly newStart: number;
  /** Lines with their ` `, `+`, `-` or `\` in front. */
  readonly lines: readonly string[];
}

/** One file of a diff. Joined again, header and hunks are the text they came from. */
export interface PatchFile {
  /** null where the file was added. */
  readonly oldPath: string | null;
  /** null where the file was deleted. */
  readonly newPath: string | null;
  /** From `diff --git` to before the first hunk. */
  readonly header: readonly string[];
  readonly hunks: readonly Hunk[];
}

/** Takes the output of `git diff` apart; nothing is lost: `patchText(parsePatch(text))` is `text`. */
export function parsePatch(text: string): PatchFile[] {
  // A line of a hunk begins with a space, a sign or a backslash, so this is always the start of a file.
  return text
    .split(/(?<=\n)(?=diff --git )/)
    .filter((part) => part !== '')
    .map(parseFile);
}

/** The diff as text, each line ended. */
export const patchText = (files: readonly PatchFile[]): string =>
  files
    .flatMap(({ header, hunks }) => [...header, ...hunks.flatMap((hunk) => [hunk.header, ...hunk.lines])])
    .map((line) => `${line}\n`)
    .join('');

/** The files whose old or new path is one of `paths` or below one; all for no paths. */
export function filterPatch(text: string, paths: readonly string[]): string {
  if (paths.length === 0) return text;
  const inside = (path: string | null): boolean => path !== null && isBelow(path, paths);
  return patchText(parsePatch(text).filter(({ oldPath, newPath }) => inside(oldPath) || inside(newPath)));
}

function parseFile(text: string): PatchFile {
  const lines = text.replace(/\n$/, '').split('\n');
  const first = lines.findIndex((line) => line.startsWith('@@ '));
  const header = first < 0 ? lines : lines.slice(0, first);
  const hunks: { header: string; oldStart: number; newStart: number; lines: string[] }[] = [];
  for (const line of first < 0 ? [] : lines.slice(first)) {
    const match = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (match)
      hunks.push({ header: line, oldStart: start(match[1], match[2]), newStart: start(match[3], match[4]), lines: [] });
    else hunks.at(-1)!.lines.push(line);
  }
  return { ...pathsOf(header), header, hunks };
}

/** A side without lines names the line before it. */
const start = (line: string | undefined, count: string | undefined): number => Number(line) + (count === '0' ? 1 : 0);

/** The two paths, from the header lines that hold only one each where there are such. */
function pathsOf(header: readonly string[]): { oldPath: string | null; newPath: string | null } {
  const after = (start: string): string | undefined =>
    header.find((line) => line.startsWith(start))?.slice(start.length);
  const plain = /^diff --git (?:a\/(.*) b\/\1|"a\/(.*)" "b\/\2")$/.exec(header[0]!);
  const same = plain?.[1] ?? (plain?.[2] === undefined ? undefined : unquoted(`"${plain[2]}"`));
  const side = (renamed: string, marked: string, prefix: string): string | null => {
    const moved = after(renamed);
    if (moved !== undefined) return unquoted(moved);
    const named = after(marked);
    // git ends a name with spaces with a tab.
    if (named !== undefined)
      return named === '/dev/null' ? null : unquoted(named.replace(/\t$/, '')).replace(prefix, '');
    return same ?? null;
  };
  const added = header.some((line) => line.startsWith('new file mode '));
  const deleted = header.some((line) => line.startsWith('deleted file mode '));
  return {
    oldPath: added ? null : side('rename from ', '--- ', 'a/'),
    newPath: deleted ? null : side('rename to ', '+++ ', 'b/'),
  };
}

const escapes: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, '"': 34, '\\': 92 };

/** A name as git writes it: in quotes with C escapes where it has quotes, backslashes or control characters. */
function unquoted(name: string): string {
  if (!name.startsWith('"')) return name;
  const bytes: Buffer[] = [];
  for (const [part] of name.slice(1, -1).matchAll(/\\(?:[0-7]{3}|.)|[^\\]+/gs)) {
    if (!part.startsWith('\\')) bytes.push(Buffer.from(part));
    else bytes.push(Buffer.from([escapes[part[1]!] ?? Number.parseInt(part.slice(1), 8)]));
  }
  return Buffer.concat(bytes).toString('utf8');
}
