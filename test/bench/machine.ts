// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../../src/era.ts';
import type { BenchCounters } from './counters.ts';
import { Hardware } from './hardware.ts';
import { Shadowed } from './shadowed.ts';
import type { BenchWorkload } from './workloads.ts';

/** A machine that replays a trace and counts. */
export interface BenchMachine {
  replay(trace: Int32Array, from: number, to: number): void;
  counters(): BenchCounters;
}

/** The machine for a workload; `era` is the kernel of the ones with shadow tables. `counting` also counts what costs time. */
export const machineFor = (workload: BenchWorkload, era: Era, counting: boolean): BenchMachine =>
  workload.translation === 'shadow' ? new Shadowed(workload, era, counting) : new Hardware(workload);
