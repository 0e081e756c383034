// SPDX-License-Identifier: GPL-2.0-only
import { type Answer, unwrap } from './answer.ts';
import { type Runner, WorkerDied } from './runner.ts';

/** A pool of threads that call one function of a script, `name`, which gives an Answer. A thread that ends is replaced. */
export async function threads<Task, Result>(script: URL, name: string, lanes: number): Promise<Runner<Task, Result>> {
  const { Piscina } = await import('piscina');
  const pool = new Piscina<Task, Answer<Result>>({
    filename: script.href,
    name,
    minThreads: lanes,
    maxThreads: lanes,
    // Sources run through tsx, which threads have to be told about.
    ...(script.pathname.endsWith('.ts') ? { execArgv: ['--import', 'tsx'] } : {}),
  });
  return {
    lanes,
    async run(task, signal) {
      try {
        return unwrap(await pool.run(task, signal ? { signal } : {}));
      } catch (error) {
        throw isDeath(error) ? new WorkerDied(error.message) : error;
      }
    },
    close: () => pool.destroy(),
  };
}

/** Piscina's error for a thread that ended, and Node's for one that used up its memory. */
const isDeath = (error: unknown): error is Error =>
  error instanceof Error &&
  (/^worker exited with code/.test(error.message) || Reflect.get(error, 'code') === 'ERR_WORKER_OUT_OF_MEMORY');
