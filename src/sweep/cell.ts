// SPDX-License-Identifier: GPL-2.0-only
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { resolvePort } from '../replay/ports.ts';
import { type Counts, isAvailable, type NotInEra, type ReplayRecord } from '../replay/record.ts';
import type { ReplayOptions } from '../replay/run.ts';
import { type CellWorkload, openWorkload } from './workload.ts';

/** Everything one replay needs, in a form that can be sent to a thread. */
export interface CellTask {
  /** What `openWorkload` takes, and the content it had when the sweep began. */
  readonly source: string;
  readonly hash: string;
  readonly era: string;
  readonly options: Pick<ReplayOptions, 'kind' | 'implementation' | 'vendor' | 'cpu'>;
}

/** What is kept of a replay: its totals, as `replay --format json` has them, and what was not replayed as written. */
export type CellResult =
  | {
      readonly executed: number;
      readonly total: Counts;
      readonly stopped: ReplayRecord['stopped'];
      readonly notInEra: readonly NotInEra[];
    }
  | { readonly unavailable: string };

/** Tells a result from a file that is none; the numbers in it were checked by nobody but their writer. */
export const cellResultSchema = z.union([
  z.object({ unavailable: z.string() }),
  z.object({
    executed: z.number(),
    total: z.object({ kvm: z.record(z.string(), z.number()), cost: z.record(z.string(), z.number()) }),
    stopped: z.object({ line: z.number(), reason: z.string() }).nullable(),
    notInEra: z.array(z.unknown()),
  }),
]);

/** Cells of one workload follow each other, so the last one is kept. */
let last: { readonly source: string; readonly workload: CellWorkload } | null = null;

/** Runs one cell. UserError when the workload is not what it was when the sweep began. */
export function runCell({ source, hash, era, options }: CellTask): CellResult {
  if (last?.source !== source || last.workload.hash !== hash) last = { source, workload: openWorkload(source) };
  const { workload } = last;
  if (workload.hash !== hash) {
    throw new UserError({
      place: source,
      found: 'another content than when the sweep began',
      expected: 'a workload that stays as it is while it is replayed',
      suggestion: 'the same command again, which takes the new content',
    });
  }
  const result = workload.replay(resolvePort(era), options);
  if (!isAvailable(result)) return { unavailable: result.unavailable };
  const { executed, total, stopped, notInEra } = result;
  return { executed, total, stopped, notInEra };
}
