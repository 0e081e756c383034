// SPDX-License-Identifier: GPL-2.0-only
import { type CellResult, type CellTask, runCell } from '../../src/sweep/cell.ts';
import { machineVersion, portVersion } from '../../src/sweep/versions.ts';
import { openWorkload } from '../../src/sweep/workload.ts';
import { inProcess, mapTasks, type Runner } from '../../src/workers/runner.ts';
import { threads } from '../../src/workers/threads.ts';
import type { CProgram } from './c-program.ts';
import { median, rounded } from './measure.ts';

/** Four eras on two threads, beside two C processes in the same minutes. Elapsed time, as other work shows in it alone. */
export interface MeasuredWorkers {
  readonly source: string;
  readonly eras: readonly string[];
  readonly runs: number;
  /** Seconds, medians: one after the other in this process, and in two threads, their start included. */
  readonly sequential_s: number;
  readonly threads_s: number;
  /** threads over sequential: median, least and largest of the runs. */
  readonly ratio: number;
  readonly min: number;
  readonly max: number;
  /** Speed of two C processes together over that of one: median, least and largest. */
  readonly c_speedup: number;
  readonly c_min: number;
  readonly c_max: number;
  /** The largest ratio that the goal allows: 1.15 over the speed-up of C. */
  readonly goal: number;
}

const eras = ['v5.10', 'cpu-role', 'cr0wp', 'v6.12'];
/** As the control of `npm run bench`. */
const CONTROL = { workload: 'walk-1g', scale: 0.25 } as const;

/** Takes turns: one after the other, threads, one C process, two. Throws when threads give other results. */
export async function measureWorkers(c: CProgram, runs: number, source: string): Promise<MeasuredWorkers> {
  const { hash } = await openWorkload(source);
  const options = { kind: 'shadow', implementation: null, vendor: 'svm' } as const;
  const versions = (era: string) => ({ machine: machineVersion(), port: portVersion(era) });
  const tasks = eras.map((era): CellTask => ({ source, hash, era, ...versions(era), options }));
  const timed = async (open: () => Promise<Runner<CellTask, CellResult>>) => {
    const before = performance.now();
    const runner = await open();
    const results = JSON.stringify(await mapTasks(runner, tasks));
    await runner.close();
    return { seconds: (performance.now() - before) / 1000, results };
  };
  const script = new URL('../../src/workers/tasks.js', import.meta.url);
  const measured: { one: number; two: number; speedup: number }[] = [];
  for (let run = 0; run < runs; run++) {
    const one = await timed(async () => inProcess(runCell));
    const two = await timed(() => threads(script, 'cell', 2));
    if (one.results !== two.results) throw new Error('threads give other results than this process');
    const alone = median(await c.together(CONTROL.workload, CONTROL.scale, 1));
    const both = (await c.together(CONTROL.workload, CONTROL.scale, 2)).reduce((sum, speed) => sum + speed, 0);
    measured.push({ one: one.seconds, two: two.seconds, speedup: both / alone });
  }
  const ratios = measured.map(({ one, two }) => two / one);
  const speedups = measured.map(({ speedup }) => speedup);
  return {
    source,
    eras,
    runs,
    sequential_s: rounded(median(measured.map(({ one }) => one))),
    threads_s: rounded(median(measured.map(({ two }) => two))),
    ratio: rounded(median(ratios)),
    min: rounded(Math.min(...ratios)),
    max: rounded(Math.max(...ratios)),
    c_speedup: rounded(median(speedups)),
    c_min: rounded(Math.min(...speedups)),
    c_max: rounded(Math.max(...speedups)),
    goal: rounded(1.15 / median(speedups)),
  };
}
