// SPDX-License-Identifier: GPL-2.0-only
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Argv } from 'yargs';
import { UserError } from '../errors.ts';
import { projectRoot } from '../root.ts';
import { inProcess, mapTasks, type Perform, type Runner } from '../workers/runner.ts';
import type { Progress } from './progress.ts';

/** The option of every command that runs many replays. */
export function withWorkers<T>(yargs: Argv<T>): Argv<T> {
  return yargs.option('workers', {
    type: 'string',
    requiresArg: true,
    describe: 'threads; 1 runs everything in this process (default: one for each processor)',
  }) as Argv<T>;
}

const MOST = 1024;

/** The number of threads asked for. UserError for anything but a number of them. */
export function workersOf(given: unknown): number {
  if (given === undefined) return availableParallelism();
  const workers = Number(given);
  if (/^\d+$/.test(String(given)) && workers >= 1 && workers <= MOST) return workers;
  throw new UserError({ place: '--workers', found: String(given), expected: `a whole number from 1 to ${MOST}` });
}

/** Name of a function in src/workers/tasks.ts, and the same for this process. */
export interface Work<Task, Result> {
  readonly name: string;
  readonly perform: Perform<Task, Result>;
}

/** A runner with as many threads as are asked for and have something to do. */
export async function openRunner<Task, Result>(
  { name, perform }: Work<Task, Result>,
  workers: number,
  tasks: number,
): Promise<Runner<Task, Result>> {
  const lanes = Math.min(workers, tasks);
  if (lanes <= 1) return inProcess(perform);
  const { threads } = await import('../workers/threads.ts');
  return threads(taskScript(), name, lanes);
}

/** src/workers/tasks.ts where the sources run, and the script that the build makes of it. */
function taskScript(): URL {
  if (import.meta.url.endsWith('.ts')) return new URL('../workers/tasks.ts', import.meta.url);
  return pathToFileURL(join(projectRoot().folder, 'dist', 'tasks.cjs'));
}

/** Runs the tasks and tells how far they are; results in the order of the tasks. The first task's mistake is thrown. */
export async function runMany<Task, Result>(
  work: Work<Task, Result>,
  tasks: readonly Task[],
  { workers, progress, itemOf }: { workers: number; progress: Progress; itemOf: (task: Task) => string },
): Promise<Result[]> {
  const runner = await openRunner(work, workers, tasks.length);
  try {
    progress.start(tasks.length);
    return await mapTasks(runner, tasks, (index) => progress.step(itemOf(tasks[index]!)));
  } finally {
    progress.end();
    await runner.close();
  }
}
