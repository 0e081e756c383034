// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu } from '../../src/era.ts';
import { GuestCpu, OUTCOME } from '../../src/sim/guest-cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { PTE } from '../../src/sim/paging-bits.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import type { BenchCounters } from './counters.ts';
import { DATA_FRAME, entryAddress, guestTables, HOST_DATA_FRAME } from './guest-tables.ts';
import { benchTlb } from './hardware.ts';
import { type BenchWorkload, EVENT, FIRST_PAGE } from './workloads.ts';

/** Shadow paging on Intel: the guest's CR3, CR0 and INVLPG all exit. */
const host: Host = {
  vendor: 'vmx',
  tdp: 'none',
  tdpMmu: false,
  forcedTdpLevel: 0,
  maxTdpLevel: 0,
  adBits: true,
  physBits: 46,
  maxHugePageLevel: 3,
  gbPages: true,
  encryptionMask: { lo: 0, hi: 0 },
  encryptionValue: { lo: 0, hi: 0 },
  flushOnReuse: false,
  cpuid: {
    maxPhyAddr: 46,
    gbPages: true,
    amd: false,
    pcid: false,
    invpcid: false,
    smep: false,
    smap: false,
    pku: false,
    la57: false,
  },
};

/** No page is ever taken back for want of room. */
const PAGE_LIMIT = 2 ** 20;
/** More exits for one access than this mean that the kernel does not cure the fault. */
const MOST_EXITS = 16;

/** Levels of the guest's tables. */
const LEVELS = [4, 3, 2, 1] as const;

/** The machine for workloads with shadow tables: a CPU, and a port as the kernel under it. */
export class Shadowed {
  readonly #vm: Vm;
  readonly #memory = new PhysicalMemory();
  readonly #cpu: GuestCpu;
  readonly #kernel: EraVcpu;
  readonly #roots: readonly number[];
  readonly #countMarks: boolean;
  #space = 0;
  #exits = 0;
  #retries = 0;
  #faults = 0;
  #reached = 0;
  #marks = 0;
  /** Flushes and root look-ups before the first event. */
  readonly #flushesBefore: number;
  readonly #linksBefore: number;

  /** `countMarks`: compares the guest's entries around each exit, as no kernel counts the entries that it marks. */
  constructor(workload: BenchWorkload, era: Era, countMarks: boolean) {
    this.#countMarks = countMarks;
    const memory = this.#memory;
    this.#roots = guestTables(memory, workload).roots;
    const guestFrames = DATA_FRAME + workload.pages * workload.spaces;
    this.#vm = new Vm({ host, memory, guestFrames, pageLimit: PAGE_LIMIT, reads: null });
    this.#cpu = new GuestCpu(host, memory, { tlb: benchTlb });
    this.#kernel = era.create(this.#vm).createVcpu(this.#cpu.registers, this.#cpu);
    this.#kernel.setCpuid();
    this.#kernel.setSregs();
    this.#kernel.writeCr4(CR4.PAE);
    this.#kernel.writeEfer(EFER.LME | EFER.NXE);
    this.#kernel.writeCr3(this.#roots[0]! * 4096, false);
    this.#kernel.writeCr0((CR0.PE | CR0.WP | CR0.PG) >>> 0);
    this.#enter();
    this.#flushesBefore = this.#cpu.cost().tlb_flushes;
    this.#linksBefore = this.#pagesGot() - 1;
  }

  /** Replays events `from` to `to` of a trace. */
  replay(trace: Int32Array, from: number, to: number): void {
    const cpu = this.#cpu;
    let exitsInARow = 0;
    for (let at = from; at < to; at++) {
      const stopped = cpu.run(trace, at, to);
      this.#reached += stopped - at;
      if (stopped > at) exitsInARow = 0;
      at = stopped;
      if (at === to) break;
      const lo = trace[2 * at]!;
      const kind = trace[2 * at + 1]! >>> 24;
      if (kind > EVENT.WRITE) this.#control(kind, lo);
      else {
        if (++exitsInARow > MOST_EXITS) throw new Error(`the fault at event ${at} is not cured`);
        if (this.#fault(lo)) at--;
      }
    }
  }

  /** Counts in the C program's sense; `adw` is 0 unless marks are counted. */
  counters(): BenchCounters {
    const { tlb } = this.#cpu;
    const cost = this.#cpu.cost();
    const { guest_walk_elements, set_spte, get_page_new } = this.#vm.counters;
    return {
      l1: tlb.l1Hits,
      l2: tlb.l2Hits,
      // An access that exits is looked up, and walks, again when the guest runs it again; the C program walks once.
      walks: cost.tlb_misses - this.#retries,
      refs: cost.reads_shadow + guest_walk_elements,
      faults: this.#faults,
      exits: this.#exits,
      flushes: cost.tlb_flushes - this.#flushesBefore,
      adw: this.#marks,
      // Leaf entries, and entries that point to tables: one for each page that was looked up, but for roots.
      fills: set_spte + this.#pagesGot() - this.#linksBefore - this.#vm.counters.roots_allocated_shadow,
      spages: get_page_new,
      // The port's host frames are the guest's; the C program adds a constant to them.
      sum: (this.#cpu.frameSum + Math.imul(this.#reached, HOST_DATA_FRAME - DATA_FRAME)) >>> 0,
    };
  }

  #pagesGot(): number {
    const { get_page_new, get_page_existing } = this.#vm.counters;
    return get_page_new + get_page_existing;
  }

  #enter(): void {
    if (this.#kernel.enter() === 'shutdown') throw new Error('the guest is gone');
    this.#cpu.registersChanged();
  }

  /** An exit for a page fault. True when the guest runs the access again. */
  #fault(page: number): boolean {
    const cpu = this.#cpu;
    if (cpu.outcome !== OUTCOME.EXIT) throw new Error(`access to page ${page} ended with ${cpu.outcome}`);
    this.#exits++;
    const before = this.#countMarks ? this.#guestEntries(page) : [];
    const end = this.#kernel.fault({ address: cpu.exitAddress, code: cpu.exitCode });
    if (this.#countMarks) {
      const after = this.#guestEntries(page);
      this.#marks += before.filter((entry, i) => entry !== after[i]).length;
    }
    this.#enter();
    if (end === 'injected') this.#faults++;
    else if (end !== 'retry') throw new Error(`a fault at page ${page} ended with ${end}`);
    else this.#retries++;
    return end === 'retry';
  }

  #control(kind: number, operand: number): void {
    const kernel = this.#kernel;
    this.#exits++;
    if (kind === EVENT.CR3) {
      this.#space = operand;
      kernel.writeCr3(this.#roots[operand]! * 4096, false);
    } else if (kind === EVENT.WP) {
      const { cr0 } = this.#cpu.registers;
      kernel.writeCr0((operand === 1 ? cr0 | CR0.WP : cr0 & ~CR0.WP) >>> 0);
    } else if (kind === EVENT.EDIT) {
      const address = this.#leafAddress(operand);
      const entry = this.#memory.read64lo(address);
      this.#memory.write64(address, (entry ^ PTE.W) & ~(PTE.A | PTE.D), this.#memory.read64hi(address));
      kernel.guestWrote(address, 8);
    } else kernel.invlpg(pageOf(operand) * 4096);
    this.#enter();
  }

  #leafAddress(page: number): number {
    return this.#entryAddresses(page)[LEVELS.length - 1]!;
  }

  /** Addresses of the guest's entries for a page, from the root down. */
  #entryAddresses(page: number): number[] {
    let table = this.#roots[this.#space]!;
    return LEVELS.map((level) => {
      const address = entryAddress(table, pageOf(page), level);
      table = (this.#memory.read64lo(address) >>> 12) + this.#memory.read64hi(address) * 2 ** 20;
      return address;
    });
  }

  #guestEntries(page: number): number[] {
    return this.#entryAddresses(page).map((address) => this.#memory.read64lo(address));
  }
}

/** Page number from its bits 31:0; traces hold pages from FIRST_PAGE on. */
const pageOf = (lo: number): number => FIRST_PAGE.hi * 2 ** 32 + (lo >>> 0) + (lo >>> 0 < FIRST_PAGE.lo ? 2 ** 32 : 0);
