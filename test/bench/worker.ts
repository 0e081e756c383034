// SPDX-License-Identifier: GPL-2.0-only
/**
 * Measures one workload, or the replays, in a process of its own, so that no workload meets code that was optimised for
 * another. Arguments: the project's folder, the C program, an era, scale, runs, and a workload's name or `replays`.
 */
import { eras } from '../../snapshots/all.ts';
import { CProgram } from './c-program.ts';
import { measure } from './measure.ts';
import { measureReplays } from './replays.ts';
import { benchWorkloads } from './workloads.ts';

const [root = '', cPath = '', eraId = '', scale = '1', runs = '5', what = ''] = process.argv.slice(2);
if (what === 'replays') console.log(JSON.stringify(measureReplays(root, Number(runs))));
else {
  const workload = benchWorkloads.find(({ name }) => name === what)!;
  const era = eras.find(({ id }) => id === eraId)!;
  console.log(
    JSON.stringify(measure(workload, new CProgram(cPath), { scale: Number(scale), runs: Number(runs), era })),
  );
}
