// SPDX-License-Identifier: GPL-2.0-only
import { type EraRecord, eraRecord } from '../facts/index.ts';
import type { UpstreamSource } from '../upstream/source.ts';
import { CFiles } from './files.ts';
import type { BitHistory, CloneLog, FunctionHistory } from './history.ts';
import { type Revisions, revisionsAt } from './revisions.ts';
import { unionsOf } from './unions.ts';
import { kernelSource } from './upstream.ts';

const header = 'arch/x86/include/asm/kvm_host.h';

/** Where the lines of a name are in one revision. */
interface Spot {
  readonly path: string;
  readonly lines: readonly [first: number, last: number];
}

type History = FunctionHistory | BitHistory;

/**
 * `git log -L` of a function or bit, from the first era that has it to the last one, as far as the clone has them. Null when
 * it has none, or when the last one is also the first and has no parent there.
 */
export async function cloneLog(
  upstream: UpstreamSource,
  history: History,
  at: ReadonlyMap<string, string>,
): Promise<CloneLog | null> {
  if (!upstream.logL) return null;
  const revisions = revisionsAt(at);
  const present: string[] = [];
  for (const id of erasOf(history)) {
    const revision = revisionOf(eraRecord(id), revisions);
    if (revision !== null && (await upstream.has(revision))) present.push(revision);
  }
  const to = present.at(-1);
  if (to === undefined) return null;
  // With one era alone, what its own commit did.
  const from = present[0] === to ? `${to}^` : present[0]!;
  const spot = await spotIn(new CFiles(kernelSource(upstream)), to, history);
  if (!spot || !(await upstream.has(from))) return null;
  const text = await upstream.logL({ from, to, ...spot });
  return { from, to, path: spot.path, text };
}

/** Eras of mainline, oldest first: a series hangs off the line that the log follows. */
function erasOf(history: History): string[] {
  const ids =
    history.kind === 'function' ? history.eras.map(({ era }) => era) : history.places.flatMap(({ eras }) => eras);
  return ids.filter((id) => eraRecord(id).status === 'merged');
}

const revisionOf = (era: EraRecord, revisions: Revisions): string | null => revisions.of(era, revisions.anchor(era));

async function spotIn(files: CFiles, revision: string, history: History): Promise<Spot | null> {
  if (history.kind === 'bit') return await bitSpot(files, revision, history);
  // A file of another era can be the one here: the function may have moved since.
  const paths = [...new Set(history.eras.map(({ path }) => path).reverse())];
  const found = await files.present(revision, paths);
  if (!Array.isArray(found)) return null;
  for (const { path: where, symbols } of found) {
    const place = symbols.get(history.name)?.find(({ kind }) => kind !== 'prototype');
    if (place) return { path: where, lines: [place.first, place.last] };
  }
  return null;
}

async function bitSpot(files: CFiles, revision: string, { union, names }: BitHistory): Promise<Spot | null> {
  const found = await files.present(revision, [header]);
  const text = Array.isArray(found) ? found[0]?.text : undefined;
  if (text === undefined) return null;
  const [declared] = await unionsOf(text, [union]);
  const bit = declared?.bits.find(({ name }) => name !== null && names.includes(name));
  return bit ? { path: header, lines: [bit.line, bit.line] } : null;
}
