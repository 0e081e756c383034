// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { ReplayResult } from '../replay/record.ts';
import { type ReplayOptions, replay } from '../replay/run.ts';
import { isTrace } from '../trace/names.ts';
import { loadWorkload } from '../workload/bundled.ts';
import { buildImage } from '../workload/image.ts';
import { compile } from '../workload/program.ts';
import { openTrace } from './trace-workload.ts';
import { contentHash } from './versions.ts';

/** Host, and TLB with its caches. */
export type CellOptions = Pick<ReplayOptions, 'kind' | 'implementation' | 'vendor' | 'cpu'>;

/** What a cell runs: a name for its contents, and how to run it. */
export interface CellWorkload {
  readonly hash: string;
  /** UserError when the input cannot be replayed, or is found to be another one; AbortError when the signal is heard. */
  replay(era: Era, options: CellOptions, signal?: AbortSignal): ReplayResult | Promise<ReplayResult>;
}

/**
 * Loads a workload or trace by bundled name, path or `gen:` text. UserError when it cannot be read, its ops do not fit
 * together, or the trace is damaged. A trace file that is to have the hash `expected` is not read now: its replays see
 * whether it has.
 */
export async function openWorkload(source: string, expected?: string): Promise<CellWorkload> {
  if (isTrace(source)) return await openTrace(source, expected);
  const workload = loadWorkload(source);
  // What does not fit together is known before the first cell runs.
  compile(workload);
  buildImage(workload);
  return {
    hash: contentHash(JSON.stringify(workload)),
    replay: (era, options) => replay(era, workload, options),
  };
}
