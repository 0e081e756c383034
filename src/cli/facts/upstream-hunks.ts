// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { type EraRecord, eraRecord, type KernelReference } from '../../facts/index.ts';
import type { EraPage, HunkLine, StopPage, UpstreamHunk, UpstreamText } from '../../facts/reading.ts';
import { cutToDefinition } from '../../upstream/cut.ts';
import { type Hunk, type PatchFile, parsePatch } from '../../upstream/patch.ts';
import type { UpstreamSource } from '../../upstream/source.ts';
import { type Elsewhere, eraRevision } from '../../upstream/subject.ts';

/** More lines than a stop needs; what is left out is counted. */
const mostLines = 120;

/** A change by the revisions on both sides; `from` of a commit is its first parent. */
interface Change {
  readonly from: string;
  readonly to: string;
  readonly single: boolean;
}

/** The page with what the kernel's own diffs have for each stop. `at` names eras in a tree without the original ids. */
export async function withUpstream(page: EraPage, source: UpstreamSource, at: Elsewhere): Promise<EraPage> {
  const owner = eraRecord(page.story.era);
  const stops: StopPage[] = [];
  for (const stop of page.stops) {
    stops.push({ ...stop, upstream: await upstreamText(stop, changeOf(stop, owner, at), source) });
  }
  return { ...page, stops };
}

/** The stop's commit, or from the era before to this one where no commit is meant; null for what was never merged. */
function changeOf({ commit }: StopPage, era: EraRecord, at: Elsewhere): Change | null {
  const known = (one: EraRecord): boolean => one.revision !== null || at.has(one.id);
  if (commit) {
    const to = commit.sha === era.commit ? eraRevision(era, at) : commit.sha;
    return { from: `${to}^`, to, single: true };
  }
  const before = era.previous === null ? null : eraRecord(era.previous);
  if (before === null || !known(before) || !known(era)) return null;
  return { from: eraRevision(before, at), to: eraRevision(era, at), single: false };
}

async function upstreamText(stop: StopPage, change: Change | null, source: UpstreamSource): Promise<UpstreamText> {
  if (change === null) return missing('There is no upstream diff: this part is in no kernel.');
  try {
    const paths = [...new Set(stop.places.flatMap(({ path }) => [path, ...olderPaths(path)]))];
    const { from, to, single } = change;
    const files = parsePatch(await (single ? source.diff(to, paths) : source.diffBetween(from, to, paths)));
    const hunks: UpstreamHunk[] = [];
    for (const place of stop.places) hunks.push(...(await hunksOf(files, place, change, source)));
    if (hunks.length > 0) return { hunks: atMost(hunks, mostLines) };
    return missing(`No hunk of the upstream diff is about ${stop.places.map(({ name }) => name).join(' or ')}.`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { place, found, suggestion } = error.mistake;
    return { missing: `The upstream hunk is not at hand: ${place}: ${found}.`, command: suggestion ?? null };
  }
}

const missing = (text: string): UpstreamText => ({ missing: text, command: null });

/** Where a file stood before the folders mmu/, svm/ and vmx/ were made, so that git sees the renames. */
const olderPaths = (path: string): string[] => {
  const [, name] = /^arch\/x86\/kvm\/(?:mmu|svm|vmx)\/(mmu\.c|paging_tmpl\.h|svm\.c|vmx\.c)$/.exec(path) ?? [];
  return name === undefined ? [] : [`arch/x86/kvm/${name}`];
};

/** The changed lines of a definition; what calls it or makes use of it when it is not defined in the file itself. */
async function hunksOf(
  patch: readonly PatchFile[],
  { path, name }: KernelReference,
  { from, to }: Change,
  source: UpstreamSource,
): Promise<UpstreamHunk[]> {
  const files = patch.filter(({ oldPath, newPath }) => (newPath ?? oldPath) === path);
  const side = async (revision: string, file: string | null): Promise<string | null> =>
    file === null ? null : source.readFile(revision, file);
  const cut = await cutToDefinition(files, name, async ({ oldPath, newPath }) => ({
    before: await side(from, oldPath),
    after: await side(to, newPath),
  }));
  const word = new RegExp(`\\b${name}\\b`);
  const chosen = cut.files.flatMap(({ hunks }) => hunks);
  const hunks =
    chosen.length > 0
      ? chosen
      : files
          .flatMap((file) => file.hunks)
          .filter(({ lines }) => lines.some((line) => /^[+-]/.test(line) && word.test(line)));
  return hunks.map((hunk) => ({ path, lines: linesOf(hunk) }));
}

function linesOf({ header, lines }: Hunk): HunkLine[] {
  const [, place = header, section = ''] = /^@@ (.*?) @@ ?(.*)$/.exec(header) ?? [];
  return [
    { mark: 'gap', text: `${place} ${section}`.trim() },
    ...lines.map((line): HunkLine => {
      const mark = line[0];
      return { mark: mark === '+' || mark === '-' ? mark : ' ', text: line.slice(1).replaceAll('\t', '        ') };
    }),
  ];
}

/** The first lines of them all; what is cut is counted. */
function atMost(hunks: readonly UpstreamHunk[], most: number): UpstreamHunk[] {
  const kept: UpstreamHunk[] = [];
  let room = most;
  for (const { path, lines } of hunks) {
    if (room <= 0) break;
    kept.push({ path, lines: lines.slice(0, room) });
    room -= lines.length;
  }
  const count = (all: readonly UpstreamHunk[]): number => all.reduce((sum, { lines }) => sum + lines.length, 0);
  const left = count(hunks) - count(kept);
  if (left === 0) return kept;
  const { path, lines } = kept.pop()!;
  return [...kept, { path, lines: [...lines, { mark: 'gap', text: `${left} more lines` }] }];
}
