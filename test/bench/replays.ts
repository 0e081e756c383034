// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { eras } from '../../snapshots/all.ts';
import { replay } from '../../src/replay/run.ts';
import { readOpsFile } from '../../src/workload/read.ts';
import { median, rounded } from './measure.ts';

/** One whole replay: parsing is not in it, building the machine, records and their summary are. */
export interface MeasuredReplay {
  readonly era: string;
  readonly workload: string;
  readonly steps: number;
  /** Thousand steps, and accesses of the guest, a second of CPU time: medians. */
  readonly ksteps_s: number;
  readonly kaccesses_s: number;
}

/** The bundled wp-toggle under every era, in shadow paging, which every era has. */
export function measureReplays(root: string, runs: number): MeasuredReplay[] {
  const workload = readOpsFile(join(root, 'workloads', 'wp-toggle.ops'), 'wp-toggle.ops');
  return eras.map((era) => {
    const run = () => replay(era, workload, { kind: 'shadow', implementation: null, vendor: 'svm' });
    const first = run();
    if ('unavailable' in first) throw new Error(`${era.id}: ${first.unavailable}`);
    const { accesses } = first.total.cost;
    const milliseconds = Array.from({ length: runs }, () => {
      const before = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    });
    const time = median(milliseconds);
    return {
      era: era.id,
      workload: workload.name,
      steps: first.executed,
      ksteps_s: rounded(first.executed / time),
      kaccesses_s: rounded(accesses / time),
    };
  });
}
