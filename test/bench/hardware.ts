// SPDX-License-Identifier: GPL-2.0-only
import { HOST_TABLE_FRAME, PhysicalMemory } from '../../src/sim/memory.ts';
import { PTE } from '../../src/sim/paging-bits.ts';
import { pagingModes, plainFeatures } from '../../src/sim/paging-modes.ts';
import { PagingStructureCaches } from '../../src/sim/paging-structure-caches.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Tlb, type TlbShape } from '../../src/sim/tlb.ts';
import { Translator } from '../../src/sim/translator.ts';
import { Walker } from '../../src/sim/walk.ts';
import type { BenchCounters } from './counters.ts';
import { DATA_FRAME, guestTables, HOST_DATA_FRAME, TableBuilder } from './guest-tables.ts';
import { type BenchWorkload, EVENT } from './workloads.ts';

/** Large pages are kept in small pieces, as the C program keeps them. */
export const benchTlb: TlbShape = { l1: { sets: 16, ways: 4 }, l2: { sets: 128, ways: 12 }, pageShifts: [12] };

/** ChampSim's default sizes. */
const cacheShape = { level2: { sets: 4, ways: 8 }, level3: { sets: 2, ways: 4 }, level4: { sets: 1, ways: 4 } };

const ASID = 1;

/** The machine for workloads without shadow tables: what a CPU does, and no kernel. */
export class Hardware {
  readonly #cpu: Translator;
  readonly #registers = new Registers();
  readonly #roots: readonly number[];

  constructor(workload: BenchWorkload) {
    const memory = new PhysicalMemory();
    const { roots, end } = guestTables(memory, workload);
    this.#roots = roots;
    const caches = workload.caches ? new PagingStructureCaches(cacheShape) : null;
    const nested = workload.translation === 'twod' ? nestedWalker(memory, workload, end) : null;
    this.#cpu = new Translator(new Tlb(benchTlb, caches), new Walker(memory, nested, caches));
    const registers = this.#registers;
    registers.cr0 = (CR0.PE | CR0.WP | CR0.PG) >>> 0;
    registers.cr4 = CR4.PAE;
    registers.efer = EFER.LME | EFER.LMA | EFER.NXE;
    registers.cr3 = roots[0]! * 4096;
    this.#cpu.walker.load(registers);
    this.#cpu.tlb.setContext(ASID, 0);
  }

  /** Replays events `from` to `to` of a trace. */
  replay(trace: Int32Array, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      at = this.#cpu.run(trace, at, to, 0);
      // It stopped at a fault, after which the guest goes on, or at a control event.
      if (at < to && trace[2 * at + 1]! >>> 24 > EVENT.WRITE) this.#control(trace[2 * at + 1]! >>> 24, trace[2 * at]!);
    }
  }

  counters(): BenchCounters {
    const { tlb, walks, reads, nestedReads, faults, marks, frameSum } = this.#cpu;
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

  #control(kind: number, operand: number): void {
    const registers = this.#registers;
    if (kind === EVENT.CR3) {
      registers.cr3 = this.#roots[operand]! * 4096;
      this.#cpu.walker.load(registers);
      this.#cpu.tlb.flushPcid(ASID, 0);
    } else if (kind === EVENT.WP) {
      registers.cr0 = (operand === 1 ? registers.cr0 | CR0.WP : registers.cr0 & ~CR0.WP) >>> 0;
      this.#cpu.walker.load(registers);
    } else throw new Error(`no workload of the hardware alone has events of kind ${kind}`);
  }
}

/** EPT without marks, in small pages: guest tables at their own frames, data elsewhere. */
function nestedWalker(memory: PhysicalMemory, { pages, spaces }: BenchWorkload, endOfTables: number): Walker {
  const tables = new TableBuilder(memory, HOST_TABLE_FRAME);
  const root = tables.newTable();
  const bits = PTE.P | PTE.W | PTE.U; // which are R, W and X for EPT
  for (let frame = 1; frame < endOfTables; frame++) tables.map(root, frame, { frame, bits });
  for (let i = 0; i < pages * spaces; i++) tables.map(root, DATA_FRAME + i, { frame: HOST_DATA_FRAME + i, bits });
  const walker = new Walker(memory);
  const { ept4: mode } = pagingModes;
  walker.loadNested({ root: root * 4096, mode, features: plainFeatures, nxe: true, eptMarks: false });
  return walker;
}
