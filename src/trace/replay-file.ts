// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import { UserError } from '../errors.ts';
import { type HostOptions, hostFor } from '../replay/host.ts';
import type { ReplayResult, UnavailableRecord } from '../replay/record.ts';
import { modeName } from '../replay/run.ts';
import type { GuestCpuOptions } from '../sim/guest-cpu.ts';
import { FusedReplay } from './fused-replay.ts';
import type { TraceHeader } from './header.ts';
import { TraceRecorder } from './trace-recorder.ts';
import type { TraceReplayOptions } from './trace-replay.ts';

/** How a trace is replayed under each of its eras. */
export interface TraceRunOptions extends HostOptions {
  /** TLB and caches; default: those of GuestCpu. */
  readonly cpu?: GuestCpuOptions;
  /** Hears how many events more are done. */
  readonly onEvents?: (count: number) => void;
}

/** One era that a trace replays under. */
interface Run {
  readonly era: Era;
  readonly options: TraceReplayOptions;
  /** Made together with the replay. */
  recorder: TraceRecorder | null;
}

/** What to replay an era with, or why the era cannot run the trace. */
function runOf(
  era: Era,
  header: TraceHeader,
  { cpu, onEvents: _, ...options }: TraceRunOptions,
): Run | UnavailableRecord {
  const { name, guest, phases } = header;
  const la57 = guest.paging === '5level';
  const host = hostFor(era, la57 ? { ...options, cpuid: { ...options.cpuid, la57 } } : options);
  const refuse = (unavailable: string) => ({ workload: name, era: era.id, mode: modeName(options), unavailable });
  if ('unavailable' in host) return refuse(host.unavailable);
  if (la57 && !era.features.has('la57')) return refuse('not in this era: la57');
  const observer: TraceReplayOptions['observer'] = (machine) => {
    run.recorder = new TraceRecorder(era, machine, phases);
    return run.recorder;
  };
  const run: Run = { era, options: { ...cpu, era, host, guest, phases: phases.length, observer }, recorder: null };
  return run;
}

/** A trace to replay: a reader, or a generator. */
export interface TraceToReplay {
  readonly header: TraceHeader;
  /** How many; null when a damaged file does not tell. */
  readonly events: number | null;
  /** Words may be used again for the next piece. */
  pieces(): AsyncIterable<Piece> | Iterable<Piece>;
  /** After the last piece: why there are no more, when the trace is not whole. */
  readonly damage: UserError | null;
}

interface Piece {
  readonly words: Int32Array;
  readonly count: number;
}

/**
 * Replays a trace under several eras: each piece is decoded once for all, and eras that do the same to hardware share its
 * accesses. Results in the order of the eras.
 */
export async function replayTrace(
  trace: TraceToReplay,
  eras: readonly Era[],
  options: TraceRunOptions,
): Promise<ReplayResult[]> {
  const all = eras.map((era) => runOf(era, trace.header, options));
  const runs = all.filter((each) => 'options' in each);
  const fused = new FusedReplay(runs.map((run) => run.options));
  let events = 0;
  for await (const { words, count } of trace.pieces()) {
    fused.run(words, 0, count);
    events += count;
    options.onEvents?.(count);
  }
  const { name } = trace.header;
  const workload = trace.damage === null ? name : `${name}, its first ${events} events`;
  const mode = modeName(options);
  return all.map((each) => {
    if (!('options' in each)) return { ...each, workload };
    const { era, recorder } = each;
    return recorder!.finish(fused.replays[runs.indexOf(each)]!, { workload, era, mode });
  });
}

/** An event that its guest cannot do, as an error of the file that has it. */
export function inFile(error: unknown, file: string): unknown {
  if (!(error instanceof UserError) || !error.mistake.place.startsWith('event ')) return error;
  return new UserError({ ...error.mistake, place: `${file}: ${error.mistake.place}` });
}
