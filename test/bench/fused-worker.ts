// SPDX-License-Identifier: GPL-2.0-only
/** Replays a twod-wp in a process of its own and prints a FusedRun. Arguments: kind, events, `separate` or `fused`, eras. */
import { createHash } from 'node:crypto';
import { ports } from '../../snapshots/index.ts';
import type { Era, MmuKind } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import type { ReplayResult } from '../../src/replay/record.ts';
import { FusedReplay } from '../../src/trace/fused-replay.ts';
import { generatedHeader } from '../../src/trace/generate/options.ts';
import { tracePresets } from '../../src/trace/generate/presets.ts';
import { guestOf, wholeTrace } from '../../src/trace/generate/stream.ts';
import { replayTrace } from '../../src/trace/replay-file.ts';
import type { FusedRun } from './fused-measure.ts';

const PIECE = 16384;
/** Replays that are not timed: V8 compiles the machine and the ports anew until the second is over. */
const WARM_UP = 2;

const [kind = '', events = '', how = '', ids = ''] = process.argv.slice(2);
const eras = await Promise.all(ids.split(',').map((id) => ports.find((port) => port.id === id)!.load()));
const spec = { ...tracePresets['twod-wp'], events: Number(events) };
const words = wholeTrace(spec);
const options = { kind: kind as MmuKind, implementation: null, vendor: 'vmx' } as const;

/** A trace in memory, so that neither its generation nor its file is in the time. */
const trace = {
  header: generatedHeader('twod-wp', spec),
  events: spec.events,
  damage: null,
  *pieces() {
    for (let at = 0; at < spec.events; at += PIECE) {
      const count = Math.min(PIECE, spec.events - at);
      yield { words: words.subarray(2 * at, 2 * (at + count)), count };
    }
  },
};

async function replayAll(): Promise<ReplayResult[]> {
  if (how === 'fused') return await replayTrace(trace, eras, options);
  const results: ReplayResult[] = [];
  for (const era of eras) results.push(...(await replayTrace(trace, [era], options)));
  return results;
}

/** Groups after the whole trace, which a record does not tell. */
function groupsOf(all: readonly Era[]): number {
  const replay = new FusedReplay(
    all.map((era) => {
      const host = hostFor(era, options);
      if ('unavailable' in host) throw new Error(`${era.id}: ${host.unavailable}`);
      return { era, host, guest: guestOf(spec) };
    }),
  );
  for (const { words: piece, count } of trace.pieces()) replay.run(piece, 0, count);
  return replay.groups;
}

for (let i = 0; i < WARM_UP; i++) await replayAll();
const before = process.cpuUsage();
const results = await replayAll();
const { user, system } = process.cpuUsage(before);
const hash = (result: ReplayResult) => createHash('sha256').update(JSON.stringify(result)).digest('hex');
const run: FusedRun = {
  ms: (user + system) / 1000,
  groups: how === 'fused' ? groupsOf(eras) : eras.length,
  records: results.map(hash),
};
console.log(JSON.stringify(run));
