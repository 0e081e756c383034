// SPDX-License-Identifier: GPL-2.0-only

import { guestOf } from '../../src/trace/generate/stream.ts';
import { HardwareReplay } from '../../src/trace/hardware-replay.ts';
import type { BenchCounters } from './counters.ts';
import { benchCaches, benchTlb } from './shapes.ts';
import type { BenchWorkload } from './workloads.ts';

/** The machine for workloads without shadow tables: what a CPU does, and no kernel. */
export class Hardware {
  readonly #replay: HardwareReplay;

  constructor(workload: BenchWorkload) {
    this.#replay = new HardwareReplay(guestOf(workload), {
      nested: workload.translation === 'twod',
      tlb: benchTlb,
      caches: workload.caches ? benchCaches : null,
    });
  }

  replay(trace: Int32Array, from: number, to: number): void {
    this.#replay.run(trace, from, to);
  }

  counters(): BenchCounters {
    const { tlb, walks, reads, nestedReads, faults, marks, frameSum } = this.#replay.cpu;
    return {
      l1: tlb.l1Hits,
      l2: tlb.l2Hits,
      walks,
      refs: reads + nestedReads,
      faults,
      exits: 0,
      flushes: tlb.flushes,
      adw: marks,
      fills: 0,
      spages: 0,
      sum: frameSum >>> 0,
    };
  }
}
