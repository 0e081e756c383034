// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import { UserError } from '../errors.ts';
import { type HostOptions, hostFor } from '../replay/host.ts';
import type { ReplayResult, UnavailableRecord } from '../replay/record.ts';
import { modeName } from '../replay/run.ts';
import type { TraceHeader } from './header.ts';
import { TraceRecorder } from './trace-recorder.ts';
import { TraceReplay } from './trace-replay.ts';

/** One era's replay of a trace, recorded: feed it all pieces in order, then `finish`. */
export class RecordedReplay {
  readonly replay: TraceReplay;
  readonly #era: Era;
  readonly #mode: string;
  #recorder: TraceRecorder | null = null;

  private constructor(era: Era, header: TraceHeader, host: ReturnType<typeof hostFor>, mode: string) {
    if ('unavailable' in host) throw new Error(host.unavailable);
    this.#era = era;
    this.#mode = mode;
    const { guest, phases } = header;
    this.replay = new TraceReplay({
      era,
      host,
      guest,
      phases: phases.length,
      observer: (machine) => {
        this.#recorder = new TraceRecorder(era, machine, phases);
        return this.#recorder;
      },
    });
  }

  /** The replay, or why the era cannot run it. */
  static of(era: Era, header: TraceHeader, options: HostOptions): RecordedReplay | UnavailableRecord {
    const la57 = header.guest.paging === '5level';
    const host = hostFor(era, la57 ? { ...options, cpuid: { ...options.cpuid, la57 } } : options);
    const mode = modeName(options);
    const refuse = (unavailable: string) => ({ workload: header.name, era: era.id, mode, unavailable });
    if ('unavailable' in host) return refuse(host.unavailable);
    if (la57 && !era.features.has('la57')) return refuse('not in this era: la57');
    return new RecordedReplay(era, header, host, mode);
  }

  finish(workload: string): ReplayResult {
    return this.#recorder!.finish(this.replay, { workload, era: this.#era, mode: this.#mode });
  }
}

/** A trace to replay: a reader, or a generator. */
export interface TraceToReplay {
  readonly header: TraceHeader;
  /** Words may be used again for the next piece. */
  pieces(): AsyncIterable<Piece> | Iterable<Piece>;
  /** After the last piece: why there are no more, when the trace is not whole. */
  readonly damage: UserError | null;
}

interface Piece {
  readonly words: Int32Array;
  readonly count: number;
}

/** Replays a trace under several eras: each piece is decoded once, for all. Results in the order of the eras. */
export async function replayTrace(
  trace: TraceToReplay,
  eras: readonly Era[],
  options: HostOptions,
): Promise<ReplayResult[]> {
  const replays = eras.map((era) => RecordedReplay.of(era, trace.header, options));
  let events = 0;
  for await (const { words, count } of trace.pieces()) {
    for (const each of replays) if (each instanceof RecordedReplay) each.replay.run(words, 0, count);
    events += count;
  }
  const { name } = trace.header;
  const workload = trace.damage === null ? name : `${name}, its first ${events} events`;
  return replays.map((each) => (each instanceof RecordedReplay ? each.finish(workload) : { ...each, workload }));
}

/** An event that its guest cannot do, as an error of the file that has it. */
export function inFile(error: unknown, file: string): unknown {
  if (!(error instanceof UserError) || !error.mistake.place.startsWith('event ')) return error;
  return new UserError({ ...error.mistake, place: `${file}: ${error.mistake.place}` });
}
