// SPDX-License-Identifier: GPL-2.0-only
/** The machine does the work that the C program does: all of its counters, and the checksum of the frames reached. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { Era } from '../../src/era.ts';
import { type BenchCounters, differences } from './counters.ts';
import { hasRules, rulesFor } from './kernel-rules.ts';
import { machineFor } from './machine.ts';
import { RECORDED_SCALE } from './options.ts';
import { type BenchWorkload, benchWorkloads, traceOf } from './workloads.ts';

interface Recorded {
  readonly scale: number;
  readonly counters: Readonly<Record<string, BenchCounters>>;
}

// Written by `npm run bench -- --record` from test/bench/pagewalk.c.
const recorded = JSON.parse(readFileSync(new URL('c-counters.json', import.meta.url), 'utf8')) as Recorded;

/** Counters of a replay that are not the recorded ones. */
function different(workload: BenchWorkload, era: Era): string[] {
  const machine = machineFor(workload, era, true);
  const trace = traceOf(workload, RECORDED_SCALE);
  machine.replay(trace, 0, trace.length / 2);
  return differences(machine.counters(), recorded.counters[workload.name]!).map(({ counter }) => counter);
}

describe('counters of the C program', () => {
  it('were recorded at the scale that is tested', () => {
    expect(recorded.scale).toBe(RECORDED_SCALE);
    expect(Object.keys(recorded.counters)).toEqual(benchWorkloads.map(({ name }) => name));
  });

  const hardware = benchWorkloads.filter((workload) => rulesFor(workload) === 'plain');
  it.each(hardware.map((workload) => [workload.name, workload] as const))('%s', (_, workload) => {
    expect(different(workload, eras[0]!)).toEqual([]);
  });

  const shadow = benchWorkloads.filter((workload) => rulesFor(workload) === 'kvm');
  const underEras = shadow.flatMap((workload) => eras.map((era) => [workload.name, era.id, workload, era] as const));
  it.each(underEras)('%s under %s', (_name, _id, workload, era) => {
    const found = different(workload, era);
    if (hasRules(era, workload)) expect(found).toEqual([]);
    else expect(found).not.toEqual([]);
  });

  it('are the same by every path: shadow tables and nested tables reach the same frames', () => {
    const { counters } = recorded;
    expect(counters['shadow-1g']!.sum).toBe(counters['twod-1g']!.sum);
    expect(counters['shadow-wp']!.sum).toBe(counters['twod-wp']!.sum);
  });
});
