// SPDX-License-Identifier: GPL-2.0-only
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { inProcess, mapTasks, type Runner, runTasks, WorkerDied } from '../../src/workers/runner.ts';
import { threads } from '../../src/workers/threads.ts';

const script = new URL('./fixtures/dying.mjs', import.meta.url);
const opened: Runner<number, number>[] = [];
const open = async (lanes: number): Promise<Runner<number, number>> => {
  const runner = await threads<number, number>(script, 'number', lanes);
  opened.push(runner);
  return runner;
};
afterAll(() => Promise.all(opened.map((runner) => runner.close())));

/** Eight tasks, of which later ones end first when several run at once. */
const tasks = Array.from({ length: 8 }, (_, task) => task);
const squares = tasks.map((task) => task * task);

test('results stand in the order of the tasks, with any number of threads', async () => {
  expect(
    await mapTasks(
      inProcess((task: number) => task * task),
      tasks,
    ),
  ).toEqual(squares);
  for (const lanes of [1, 2, 3]) {
    const ends: number[] = [];
    expect(await mapTasks(await open(lanes), tasks, (index) => ends.push(index))).toEqual(squares);
    expect([...ends].sort((a, b) => a - b)).toEqual(tasks);
  }
});

test('no task at all', async () => {
  expect(
    await mapTasks(
      inProcess(() => 1),
      [],
    ),
  ).toEqual([]);
});

describe('failures', () => {
  test('the mistake of the first task is thrown, as the class that it was', async () => {
    const runner = await open(3);
    // The task at 1 works when the one at 2 has failed already.
    const failing = mapTasks(runner, [0, -1, -2, 5, 6, 7]);
    await expect(failing).rejects.toThrow(UserError);
    await expect(failing).rejects.toThrow('task -1: a mistake');
  });

  test('no task is begun after one', async () => {
    const begun: number[] = [];
    const runner = inProcess((task: number) => {
      begun.push(task);
      if (task === 2) throw new UserError({ place: 'x', found: 'y', expected: 'z' });
      return task;
    });
    await expect(mapTasks(runner, tasks)).rejects.toThrow(UserError);
    expect(begun).toEqual([0, 1, 2]);
  });

  test('a thread that ends, and a bug, are told apart; the others go on', async () => {
    const failures = new Map<number, unknown>();
    const done: number[] = [];
    await runTasks(await open(2), [1, 1000, 2, 2000, 3], {
      done: (index) => done.push(index),
      failed: (index, error) => failures.set(index, error),
    });
    expect([...done].sort()).toEqual([0, 2, 4]);
    expect(failures.get(1)).toBeInstanceOf(WorkerDied);
    expect(failures.get(3)).toBeInstanceOf(TypeError);
    expect(failures.get(3)).not.toBeInstanceOf(WorkerDied);
  });
});

test('an aborted signal ends it early, without an error, running threads included', async () => {
  const controller = new AbortController();
  const done: number[] = [];
  await runTasks(await open(2), tasks, {
    done(index) {
      done.push(index);
      if (done.length === 2) controller.abort();
    },
    signal: controller.signal,
  });
  expect(done.length).toBeGreaterThanOrEqual(2);
  expect(done.length).toBeLessThan(tasks.length);
});
