// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import {
  type EraPage,
  type EraRecord,
  eraRecord,
  type HunkLine,
  type KernelReference,
  type StopPage,
  type UpstreamHunk,
  type UpstreamText,
} from '../../facts/index.ts';
import { type Hunk, parsePatch } from '../../upstream/patch.ts';
import type { UpstreamSource } from '../../upstream/source.ts';

/** More lines than a stop needs; what is left out is counted. */
const mostLines = 120;

/** The page with what the kernel's own diffs have for each stop. */
export async function withUpstream(page: EraPage, source: UpstreamSource): Promise<EraPage> {
  const owner = eraRecord(page.story.era);
  const stops: StopPage[] = [];
  for (const stop of page.stops) stops.push({ ...stop, upstream: await upstreamText(stop, owner, source) });
  return { ...page, stops };
}

async function upstreamText(stop: StopPage, era: EraRecord, source: UpstreamSource): Promise<UpstreamText> {
  try {
    const text = await diffOf(stop, era, source);
    if (text === null) return missing('There is no upstream diff: this part is in no kernel.');
    const hunks = stop.places.flatMap((place) => hunksOf(text, place));
    if (hunks.length > 0) return { hunks: atMost(hunks, mostLines) };
    return missing(`No hunk of the upstream diff is about ${stop.places.map(({ name }) => name).join(' or ')}.`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { place, found, suggestion } = error.mistake;
    return { missing: `The upstream hunk is not at hand: ${place}: ${found}.`, command: suggestion ?? null };
  }
}

const missing = (text: string): UpstreamText => ({ missing: text, command: null });

/** The diff of the stop's commit, or between the two eras where no commit is meant; null for what was never merged. */
async function diffOf(stop: StopPage, era: EraRecord, source: UpstreamSource): Promise<string | null> {
  const paths = [...new Set(stop.places.flatMap(({ path }) => [path, ...olderPaths(path)]))];
  if (stop.commit) return source.diff(stop.commit.sha, paths);
  const before = era.previous === null ? null : eraRecord(era.previous).revision;
  return before === null || era.revision === null ? null : source.diffBetween(before, era.revision, paths);
}

/** Where a file stood before the folders mmu/, svm/ and vmx/ were made, so that git sees the renames. */
const olderPaths = (path: string): string[] => {
  const [, name] = /^arch\/x86\/kvm\/(?:mmu|svm|vmx)\/(mmu\.c|paging_tmpl\.h|svm\.c|vmx\.c)$/.exec(path) ?? [];
  return name === undefined ? [] : [`arch/x86/kvm/${name}`];
};

/** Hunks that define or change `name`; those that only mention it when there are none. */
function hunksOf(patch: string, { path, name }: KernelReference): UpstreamHunk[] {
  const word = new RegExp(`\\b${name}\\b`);
  const definition = new RegExp(`^[ +-](?:[\\w*].*)?\\b${name}\\b`);
  const hunks = parsePatch(patch)
    .filter(({ oldPath, newPath }) => (newPath ?? oldPath) === path)
    .flatMap((file) => file.hunks);
  const about = hunks.filter(({ header, lines }) => word.test(header) || lines.some((line) => definition.test(line)));
  const chosen = about.length > 0 ? about : hunks.filter(({ lines }) => lines.some((line) => word.test(line)));
  return chosen.map((hunk) => ({ path, lines: linesOf(hunk) }));
}

function linesOf({ header, lines }: Hunk): HunkLine[] {
  const place = /^@@ (.*?) @@ ?(.*)$/.exec(header);
  const title = place ? `${place[1]} ${place[2]}`.trim() : header;
  return [
    { mark: 'gap', text: title },
    ...lines.map((line): HunkLine => {
      const mark = line[0];
      return { mark: mark === '+' || mark === '-' ? mark : ' ', text: line.slice(1).replaceAll('\t', '        ') };
    }),
  ];
}

/** The first lines of them all; a hunk that is cut says how much is missing. */
function atMost(hunks: readonly UpstreamHunk[], most: number): UpstreamHunk[] {
  let room = most;
  const kept: UpstreamHunk[] = [];
  for (const { path, lines } of hunks) {
    if (room <= 0) break;
    const left = lines.length - room;
    kept.push(
      left > 0
        ? { path, lines: [...lines.slice(0, room), { mark: 'gap', text: `${left} more lines` }] }
        : { path, lines },
    );
    room -= lines.length;
  }
  const cut = hunks.length - kept.length;
  if (cut > 0) {
    const last = kept.pop()!;
    const more: HunkLine = { mark: 'gap', text: `${cut} more ${cut === 1 ? 'hunk' : 'hunks'}` };
    kept.push({ ...last, lines: [...last.lines, more] });
  }
  return kept;
}
