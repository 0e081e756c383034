// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../../src/era.ts';
import type { CProgram } from './c-program.ts';
import { type CounterDifference, differences } from './counters.ts';
import { hasRules, rulesFor } from './kernel-rules.ts';
import { machineFor } from './machine.ts';
import type { BenchWorkload } from './workloads.ts';
import { traceOf } from './workloads.ts';

/** What was measured for one workload. Speeds are million events a second of CPU time. */
export interface Measured {
  readonly name: string;
  /** Era of the port that filled the shadow tables; absent where no kernel takes part. */
  readonly era?: string;
  /** Medians of the product and of the C program, and their ratio. */
  readonly mev_s: number;
  readonly c_mev_s: number;
  readonly ratio: number;
  /** Slowest and fastest repetition of both. */
  readonly min: number;
  readonly max: number;
  readonly c_min: number;
  readonly c_max: number;
  /** Shadow tables: the same against the C program without KVM's rules, which does less. */
  readonly plain_c_mev_s?: number;
  readonly plain_ratio?: number;
  readonly counters_equal: boolean;
  readonly differences: readonly CounterDifference[];
  /** The era has other rules than the C program knows (kernel-rules.ts). */
  readonly other_rules: boolean;
}

export interface MeasureOptions {
  readonly scale: number;
  readonly runs: number;
  readonly era: Era;
}

/** Replays before those that are timed: until then V8 interprets, compiles, and thinks better of it. */
const WARM_UPS = 3;

/** Runs C and product in turn, and compares the counters in the end: counting everything takes other paths through the code. */
export function measure(workload: BenchWorkload, c: CProgram, { scale, runs, era }: MeasureOptions): Measured {
  const trace = traceOf(workload, scale);
  const events = trace.length / 2;
  const rules = rulesFor(workload);
  for (let i = 0; i < WARM_UPS; i++) machineFor(workload, era, false).replay(trace, 0, events);
  const speeds: number[] = [];
  const cSpeeds: number[] = [];
  const plainSpeeds: number[] = [];
  for (let run = 0; run < runs; run++) {
    cSpeeds.push(c.run(workload.name, scale, rules).speed);
    if (rules !== 'plain') plainSpeeds.push(c.run(workload.name, scale).speed);
    const machine = machineFor(workload, era, false);
    const before = process.cpuUsage();
    machine.replay(trace, 0, events);
    const { user, system } = process.cpuUsage(before);
    speeds.push(events / (user + system));
  }
  const checked = machineFor(workload, era, true);
  checked.replay(trace, 0, events);
  const found = differences(checked.counters(), c.run(workload.name, scale, rules).counters);
  return {
    name: workload.name,
    ...(workload.translation === 'shadow' ? { era: era.id } : {}),
    mev_s: rounded(median(speeds)),
    c_mev_s: rounded(median(cSpeeds)),
    ratio: rounded(median(speeds) / median(cSpeeds)),
    min: rounded(Math.min(...speeds)),
    max: rounded(Math.max(...speeds)),
    c_min: rounded(Math.min(...cSpeeds)),
    c_max: rounded(Math.max(...cSpeeds)),
    ...(plainSpeeds.length === 0
      ? {}
      : {
          plain_c_mev_s: rounded(median(plainSpeeds)),
          plain_ratio: rounded(median(speeds) / median(plainSpeeds)),
        }),
    counters_equal: found.length === 0,
    differences: found,
    other_rules: !hasRules(era, workload) && rules !== 'plain',
  };
}

export const rounded = (value: number): number => Number(value.toFixed(3));

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
