// SPDX-License-Identifier: GPL-2.0-only
import { findDefinitions, type LineRange } from './definition.ts';
import type { Hunk, PatchFile } from './patch.ts';

/** The whole texts on both sides of a changed file; null where that side has no file. */
export interface Sides {
  readonly before: string | null;
  readonly after: string | null;
}

/** What is left of a diff when only one definition is looked at. */
export interface Cut {
  readonly files: readonly PatchFile[];
  /** Whether any of the texts has the definition, changed or not. */
  readonly defined: boolean;
}

/** The diff as it is, or cut to a definition when there is one to look at. */
export const cutTo = async (
  files: readonly PatchFile[],
  definition: string | undefined,
  sidesOf: (file: PatchFile) => Promise<Sides>,
): Promise<Cut> =>
  definition === undefined ? { files, defined: true } : await cutToDefinition(files, definition, sidesOf);

/** Keeps the lines inside a function, union, macro … of this name, in the text before or after the change. */
export async function cutToDefinition(
  files: readonly PatchFile[],
  name: string,
  sidesOf: (file: PatchFile) => Promise<Sides>,
): Promise<Cut> {
  const kept: PatchFile[] = [];
  let defined = false;
  for (const file of files) {
    const { before, after } = await sidesOf(file);
    const old = before === null ? [] : findDefinitions(before, name);
    const now = after === null ? [] : findDefinitions(after, name);
    if (old.length + now.length > 0) defined = true;
    const hunks = file.hunks.flatMap((hunk) => cutHunk(hunk, old, now));
    if (hunks.length > 0) kept.push({ ...file, hunks });
  }
  return { files: kept, defined };
}

const inside = (line: number, ranges: readonly LineRange[]): boolean =>
  ranges.some(({ first, last }) => line >= first && line <= last);

/** Whether a gap right before this line lies inside. */
const between = (line: number, ranges: readonly LineRange[]): boolean =>
  ranges.some(({ first, last }) => line > first && line <= last);

/** The runs of lines of a hunk that lie inside, each a hunk of its own; runs without a change are left out. */
function cutHunk(hunk: Hunk, old: readonly LineRange[], now: readonly LineRange[]): Hunk[] {
  const runs: { oldStart: number; newStart: number; lines: string[] }[] = [];
  let [oldLine, newLine] = [hunk.oldStart, hunk.newStart];
  let open = false;
  for (const line of hunk.lines) {
    const sign = line[0];
    if (sign === '\\') {
      if (open) runs.at(-1)!.lines.push(line);
      continue;
    }
    const isOld = sign !== '+';
    const isNew = sign !== '-';
    // What only one side has belongs to the definition, too, where it stands between lines of the other side's.
    const keep =
      (isOld && inside(oldLine, old)) ||
      (isNew && inside(newLine, now)) ||
      (!isNew && between(newLine, now)) ||
      (!isOld && between(oldLine, old));
    if (keep && !open) runs.push({ oldStart: oldLine, newStart: newLine, lines: [] });
    if (keep) runs.at(-1)!.lines.push(line);
    open = keep;
    if (isOld) oldLine++;
    if (isNew) newLine++;
  }
  return runs
    .filter(({ lines }) => lines.some((line) => /^[+-]/.test(line)))
    .map((run) => ({ ...run, header: hunkHeader(run, /@@ .* @@(.*)$/.exec(hunk.header)?.[1] ?? '') }));
}

/** `@@ -1,7 +1,9 @@` and what follows it. A side without lines names the line before, as git does. */
export function hunkHeader({ oldStart, newStart, lines }: Omit<Hunk, 'header'>, section: string): string {
  const count = (signs: RegExp): number => lines.filter((line) => signs.test(line)).length;
  const side = (start: number, length: number): string => {
    const first = length === 0 ? start - 1 : start;
    return length === 1 ? String(first) : `${first},${length}`;
  };
  return `@@ -${side(oldStart, count(/^[ -]/))} +${side(newStart, count(/^[ +]/))} @@${section}`;
}
