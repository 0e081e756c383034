// SPDX-License-Identifier: GPL-2.0-only
/** The built threads give what this process gives, whatever their number. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { workersOf } from '../../src/cli/workers.ts';
import { UserError } from '../../src/errors.ts';
import { findRecordings } from '../../src/parity/recording.ts';
import { performParity } from '../../src/parity/run.ts';
import { performReplay } from '../../src/replay/task.ts';
import { runCell } from '../../src/sweep/cell.ts';
import { taskOf } from '../../src/sweep/plan.ts';
import { inProcess, mapTasks, type Perform } from '../../src/workers/runner.ts';
import { threads } from '../../src/workers/threads.ts';
import { generate } from '../../src/workload/generators/index.ts';
import { recordingsFolder } from '../parity/recordings.ts';
import { planned } from '../sweep/sweeps.ts';

/** The build's: threads load it sooner than the sources. */
const script = new URL('../../dist/tasks.cjs', import.meta.url);

/** Compares JSON, which also tells the order of keys. */
async function sameInThreads<Task, Result>(name: string, perform: Perform<Task, Result>, tasks: readonly Task[]) {
  const runner = await threads<Task, Result>(script, name, 2);
  const results = await mapTasks(runner, tasks);
  await runner.close();
  expect(JSON.stringify(results)).toBe(JSON.stringify(await mapTasks(inProcess(perform), tasks)));
  return results;
}

test('cells of a sweep', async () => {
  const { plan } = await planned();
  const tasks = Array.from({ length: plan.header.cells }, (_, cell) => taskOf(plan, cell));
  const results = await sameInThreads('cell', runCell, tasks);
  const three = await threads(script, 'cell', 3);
  expect(JSON.stringify(await mapTasks(three, tasks))).toBe(JSON.stringify(results));
  await three.close();
});

test('replays of a report', async () => {
  const workload = generate('toggle_cr0_wp', { iterations: 3, touches: 1 });
  const host = { kind: 'npt', implementation: null, vendor: 'svm' } as const;
  const tasks = ['base-role', 'root-role', 'cr0wp'].map((era) => ({ workload, era, host }));
  await sameInThreads('replay', performReplay, tasks);
});

test('recordings of real kernels', async () => {
  const recordings = findRecordings([join(recordingsFolder, '6.1.0-56-amd64', 'npt')]).slice(0, 3);
  const options = { era: null, ops: null };
  await sameInThreads(
    'parity',
    performParity,
    recordings.map((recording) => ({ recording, options })),
  );
});

test('how many threads', () => {
  expect(workersOf('3')).toBe(3);
  expect(workersOf(undefined)).toBeGreaterThanOrEqual(1);
  for (const given of ['0', 'two', '1.5', '-1', '', '100000']) expect(() => workersOf(given)).toThrow(UserError);
});
