// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { structuredPatch } from 'diff';
import { uncited } from '../facts/index.ts';
import { projectRoot } from '../root.ts';
import { hunkHeader } from './cut.ts';
import { openingLines } from './definition.ts';
import type { Hunk, PatchFile } from './patch.ts';

/** What of two ports is compared. */
export interface PortChoice {
  /** Also the lines that differ only in the kernel they cite. */
  readonly citations?: boolean;
  /** Names of files; all when there are none. */
  readonly only?: readonly string[];
}

/** The diff of two ports. */
export interface PortDiff {
  readonly files: readonly PatchFile[];
  /** Lines left out because they differ in nothing but the commit, release or line that they cite. */
  readonly citations: number;
}

/**
 * The diff of two port folders below snapshots/: every file of both, in the order of `portFiles`, each in its own order.
 * Each port cites its own kernel, so lines that differ only in that are taken for the same unless `citations` asks for them.
 */
export function portDiff(before: string, after: string, { citations = false, only = [] }: PortChoice = {}): PortDiff {
  let leftOut = 0;
  const key = citations ? (line: string): string => line : uncited;
  const files = portFiles(before, after)
    .filter((name) => only.length === 0 || only.includes(name))
    .flatMap((file) => {
      const [old, now] = [portText(before, file), portText(after, file)];
      const { hunks, unlike } = compare(old ?? '', now ?? '', key);
      leftOut += unlike;
      if (hunks.length === 0 && old !== null && now !== null) return [];
      const [oldPath, newPath] = [`snapshots/${before}/${file}`, `snapshots/${after}/${file}`];
      return [
        {
          oldPath: old === null ? null : oldPath,
          newPath: now === null ? null : newPath,
          header: [
            `diff --git a/${oldPath} b/${newPath}`,
            ...(old === null ? ['new file mode 100644'] : now === null ? ['deleted file mode 100644'] : []),
            `--- ${old === null ? '/dev/null' : `a/${oldPath}`}`,
            `+++ ${now === null ? '/dev/null' : `b/${newPath}`}`,
          ],
          hunks,
        },
      ];
    });
  return { files, citations: leftOut };
}

/** Text of one file of a port; null when the port has no such file. */
export function portText(port: string, file: string): string | null {
  const path = join(projectRoot().folder, 'snapshots', port, file);
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

/** Files of two ports in the order of a lesson: the layout, how a role is computed, all else, what only tests need. */
export function portFiles(before: string, after: string): string[] {
  const place = (name: string): number =>
    name === 'role.ts' ? 0 : name === 'calc.ts' ? 1 : name.startsWith('vectors') ? 3 : 2;
  return [...new Set([...filesOf(before), ...filesOf(after)])].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

const filesOf = (port: string): string[] =>
  readdirSync(join(projectRoot().folder, 'snapshots', port)).filter((name) => name.endsWith('.ts'));

/**
 * Hunks with three lines around each change, where lines with the same key are the same; they are shown as they are now. The
 * header names the declaration that the hunk begins in. `unlike` counts the lines that have the same key and another text.
 */
function compare(old: string, now: string, key: (line: string) => string): { hunks: Hunk[]; unlike: number } {
  const keys = (text: string): string => text.split('\n').map(key).join('\n');
  const [oldLines, newLines] = [old.split('\n'), now.split('\n')];
  const openings = openingLines(old);
  let unlike = 0;
  let [atOld, atNew] = [0, 0];
  const common = (): string => {
    if (oldLines[atOld++] !== newLines[atNew]) unlike++;
    return newLines[atNew++]!;
  };
  const hunks = structuredPatch('', '', keys(old), keys(now), '', '', { context: 3 }).hunks.map((hunk) => {
    while (atOld < hunk.oldStart - 1) common();
    const lines = hunk.lines.map((line) => {
      if (line.startsWith('-')) return `-${oldLines[atOld++]}`;
      if (line.startsWith('+')) return `+${newLines[atNew++]}`;
      return line.startsWith('\\') ? line : ` ${common()}`;
    });
    const opening = openings[hunk.oldStart - 2] ?? '';
    const place = { oldStart: hunk.oldStart, newStart: hunk.newStart, lines };
    return { ...place, header: hunkHeader(place, opening === '' ? '' : ` ${opening}`) };
  });
  while (atOld < oldLines.length) common();
  return { hunks, unlike };
}
