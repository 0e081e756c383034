// SPDX-License-Identifier: GPL-2.0-only
/** The machine does the work that the C program does: all of its counters, and the checksum of the frames reached. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { type BenchCounters, differences } from './counters.ts';
import { kernelRules } from './kernel-rules.ts';
import { machineFor } from './machine.ts';
import { RECORDED_SCALE } from './options.ts';
import { benchWorkloads, traceOf } from './workloads.ts';

interface Recorded {
  readonly scale: number;
  readonly counters: Readonly<Record<string, BenchCounters>>;
}

// Written by `npm run bench -- --record` from test/bench/pagewalk.c.
const recorded = JSON.parse(readFileSync(new URL('c-counters.json', import.meta.url), 'utf8')) as Recorded;
const era = eras.find(({ id }) => id === 'cpu-role')!;

describe('counters of the C program', () => {
  it('were recorded at the scale that is tested', () => {
    expect(recorded.scale).toBe(RECORDED_SCALE);
    expect(Object.keys(recorded.counters)).toEqual(benchWorkloads.map(({ name }) => name));
  });

  it.each(benchWorkloads.map((workload) => [workload.name, workload] as const))('%s', (name, workload) => {
    const machine = machineFor(workload, era, true);
    const trace = traceOf(workload, RECORDED_SCALE);
    machine.replay(trace, 0, trace.length / 2);
    const different = differences(machine.counters(), recorded.counters[name]!).map(({ counter }) => counter);
    // What a kernel must do otherwise is listed with its reasons; everything else is the same, here and there.
    expect(different.filter((counter) => !kernelRules[name]?.includes(counter))).toEqual([]);
  });

  it('are the same by every path: shadow tables and nested tables reach the same frames', () => {
    const { counters } = recorded;
    expect(counters['shadow-1g']!.sum).toBe(counters['twod-1g']!.sum);
    expect(counters['shadow-wp']!.sum).toBe(counters['twod-wp']!.sum);
  });
});
