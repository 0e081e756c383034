// SPDX-License-Identifier: GPL-2.0-only
import { setImmediate } from 'node:timers/promises';

/** Runs tasks of one kind, `lanes` of them at a time. */
export interface Runner<Task, Result> {
  readonly lanes: number;
  /** Rejects with what the task threw, with WorkerDied, or with an AbortError. */
  run(task: Task, signal?: AbortSignal): Promise<Result>;
  close(): Promise<void>;
}

/** The thread that ran a task ended before the task did. */
export class WorkerDied extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'WorkerDied';
  }
}

/** Does one task. With an aborted signal it may give up, with an AbortError. */
export type Perform<Task, Result> = (task: Task, signal?: AbortSignal) => Result | Promise<Result>;

/** One task after the other in this process. */
export function inProcess<Task, Result>(perform: Perform<Task, Result>): Runner<Task, Result> {
  return {
    lanes: 1,
    async run(task, signal) {
      // Between two tasks the process hears signals.
      await setImmediate(undefined, signal ? { signal } : {});
      return await perform(task, signal);
    },
    async close() {},
  };
}

/** What is told while tasks run. */
export interface Told<Result> {
  /** A task is done, in the order of ends. What it throws ends everything. */
  done?(index: number, result: Result): void;
  /** A task failed. Without this, or when it throws, no task is begun any more. */
  failed?(index: number, error: unknown): void;
  readonly signal?: AbortSignal;
}

/**
 * Runs the tasks, begun in their order. Of several failures the one of the first task is thrown, whichever came first, so
 * that the same input fails alike with any number of lanes. With an aborted signal it returns early and throws nothing.
 */
export async function runTasks<Task, Result>(
  runner: Runner<Task, Result>,
  tasks: readonly Task[],
  { done, failed, signal }: Told<Result>,
): Promise<void> {
  let next = 0;
  let first: { readonly index: number; readonly error: unknown } | null = null;
  const fail = (index: number, error: unknown): void => {
    if (first === null || index < first.index) first = { index, error };
  };
  const lane = async (): Promise<void> => {
    while (first === null && next < tasks.length && !signal?.aborted) {
      const index = next++;
      try {
        const result = await runner.run(tasks[index]!, signal);
        // A result may come with the signal, and is as good as any.
        done?.(index, result);
      } catch (error) {
        if (signal?.aborted && isAbort(error)) return;
        try {
          if (failed === undefined) throw error;
          failed(index, error);
        } catch (final) {
          fail(index, final);
        }
      }
    }
  };
  await Promise.all(Array.from({ length: runner.lanes }, lane));
  // Assigned in `fail`, which the compiler does not follow.
  const failure = first as { readonly error: unknown } | null;
  if (failure !== null) throw failure.error;
}

/** As `runTasks`, with the results in the order of the tasks. */
export async function mapTasks<Task, Result>(
  runner: Runner<Task, Result>,
  tasks: readonly Task[],
  onDone: (index: number) => void = () => {},
): Promise<Result[]> {
  const results = new Array<Result>(tasks.length);
  await runTasks(runner, tasks, {
    done(index, result) {
      results[index] = result;
      onDone(index);
    },
  });
  return results;
}

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';
