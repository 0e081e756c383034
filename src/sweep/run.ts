// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { diskReason } from '../files.ts';
import { type Runner, runTasks, WorkerDied } from '../workers/runner.ts';
import type { CellResult, CellTask } from './cell.ts';
import { type Cell, cellOf, cellText } from './header.ts';
import { type SweepPlan, taskOf } from './plan.ts';
import { cellsOfShard, type Shard } from './shard.ts';
import type { CellStore } from './store.ts';

/** How a run is done. */
export interface SweepRun {
  readonly shard: Shard;
  readonly store: CellStore;
  /** Asked once, and only when there is something to run: for this many tasks. */
  readonly openRunner: (tasks: number) => Promise<Runner<CellTask, CellResult>>;
  readonly signal?: AbortSignal;
  /** Before the first cell: how many are finished of how many; then each that is. */
  readonly onStart?: (finished: number, cells: number) => void;
  readonly onCell?: (cell: Cell) => void;
}

/** Where a shard stands after a run. */
export interface SweepState {
  readonly cells: number;
  /** Cells with a result in the store. */
  readonly finished: number;
  /** Cells that ended their thread, or met a bug of ours. */
  readonly failures: readonly { readonly cell: Cell; readonly error: unknown }[];
}

/**
 * Runs what is not in the store yet of one shard, and keeps each result as it comes. A cell that fails does not keep
 * others from running. UserError when a result cannot be kept, or a workload changed under the run.
 */
export async function runSweep(plan: SweepPlan, run: SweepRun): Promise<SweepState> {
  const { store, signal } = run;
  const cells = [...cellsOfShard(run.shard, plan.header.cells)].map((number) => cellOf(plan.header, number));
  store.removeLeftovers();
  const missing = new Map<string, Cell[]>();
  for (const cell of cells) {
    // Cells that are the same replay under two names share a key.
    const same = missing.get(cell.key);
    if (same) same.push(cell);
    else if (store.get(cell.key) === null) missing.set(cell.key, [cell]);
  }
  const todo = [...missing.values()];
  const failures: { cell: Cell; error: unknown }[] = [];
  let finished = cells.length - todo.reduce((sum, same) => sum + same.length, 0);
  run.onStart?.(finished, cells.length);
  if (todo.length === 0) return { cells: cells.length, finished, failures };
  const runner = await run.openRunner(todo.length);
  try {
    await runTasks(
      runner,
      todo.map(([cell]) => taskOf(plan, cell!.cell)),
      {
        done(index, result) {
          const same = todo[index]!;
          keep(store, same[0]!.key, result, { finished, cells: cells.length });
          finished += same.length;
          for (const cell of same) run.onCell?.(cell);
        },
        failed(index, error) {
          if (error instanceof UserError) throw error;
          failures.push({ cell: todo[index]![0]!, error });
        },
        ...(signal ? { signal } : {}),
      },
    );
  } finally {
    await runner.close();
  }
  failures.sort((a, b) => a.cell.cell - b.cell.cell);
  return { cells: cells.length, finished, failures };
}

function keep(
  store: CellStore,
  key: string,
  result: CellResult,
  { finished, cells }: { finished: number; cells: number },
): void {
  try {
    store.put(key, result);
  } catch (error) {
    const found = diskReason(error);
    if (found === undefined) throw error;
    throw new UserError({
      place: store.folder,
      found: `${found}; ${finished} of ${cells} cells are finished and kept`,
      expected: 'a folder with room for the results',
      suggestion: 'make room, then the same command again: it goes on with the cells left',
    });
  }
}

/** For a run that left cells over: what failed, what is kept, and how to go on. */
export function unfinishedText(
  { finished, cells, failures }: SweepState,
  { file, folder, interrupted }: { file: string; folder: string; interrupted: boolean },
): string {
  const lines = failures.map(({ cell, error }) => {
    const what = `cell ${cell.cell} (${cellText(cell)})`;
    if (error instanceof WorkerDied) return `${what}: its thread ended: ${error.message}`;
    return `${what}: ${error instanceof Error ? error.stack : error}`;
  });
  lines.push(
    `${file}: ${interrupted ? 'interrupted' : 'not finished'}; ${finished} of ${cells} cells are finished and kept in ${folder}`,
    '  to go on: the same command again, which runs the cells left',
  );
  return lines.map((line) => `${line}\n`).join('');
}
