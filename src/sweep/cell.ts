// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod';
import { UserError } from '../errors.ts';
import { resolvePort } from '../replay/every-port.ts';
import { type Counts, isAvailable, type NotInEra, type ReplayRecord } from '../replay/record.ts';
import { changedWorkload } from './mistakes.ts';
import { machineVersion, portVersion } from './versions.ts';
import { type CellOptions, type CellWorkload, openWorkload } from './workload.ts';

/** Everything one replay needs, in a form that can be sent to a thread. */
export interface CellTask {
  /** What `openWorkload` takes, and the content it had when the sweep began. */
  readonly source: string;
  readonly hash: string;
  readonly era: string;
  /** Versions of the machine and of the era's port that the result will be kept under. */
  readonly machine: string;
  readonly port: string;
  readonly options: CellOptions;
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

/**
 * Runs one cell. UserError when the workload, or the code, is not what it was when the sweep began. A trace gives up, with an
 * AbortError, when the signal is aborted.
 */
export async function runCell(task: CellTask, signal?: AbortSignal): Promise<CellResult> {
  const { source, hash, era, machine, port, options } = task;
  // A thread loads its code when it starts, which may be long after.
  if (machine !== machineVersion() || port !== portVersion(era)) {
    throw new UserError({
      place: `cell of ${era}`,
      found: 'mmu-eras was built anew while the sweep ran',
      expected: 'one version from the first cell to the last',
      suggestion: 'the same command again, which runs what the new version has not run',
    });
  }
  if (last?.source !== source || last.workload.hash !== hash) {
    last = { source, workload: await openWorkload(source, hash) };
  }
  const { workload } = last;
  if (workload.hash !== hash) throw changedWorkload(source);
  const result = await workload.replay(resolvePort(era), options, signal);
  if (!isAvailable(result)) return { unavailable: result.unavailable };
  const { executed, total, stopped, notInEra } = result;
  return { executed, total, stopped, notInEra };
}
