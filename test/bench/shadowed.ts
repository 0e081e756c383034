// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../../src/era.ts';
import type { Host } from '../../src/sim/host.ts';
import { guestOf } from '../../src/trace/generate/stream.ts';
import { HOST_DATA_OFFSET } from '../../src/trace/hardware-replay.ts';
import type { TraceObserver } from '../../src/trace/observer.ts';
import { TraceReplay } from '../../src/trace/trace-replay.ts';
import type { BenchCounters } from './counters.ts';
import { benchTlb } from './shapes.ts';
import type { BenchWorkload } from './workloads.ts';

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

/** The machine for workloads with shadow tables: a CPU, and a port as the kernel under it. */
export class Shadowed {
  readonly #replay: TraceReplay;
  /** Guest entries around each exit, as no kernel counts the entries that it marks. */
  readonly #marks: MarkCounter | null;
  /** Flushes and root look-ups before the first event. */
  readonly #flushesBefore: number;
  readonly #linksBefore: number;

  /** `countMarks`: compares the guest's entries around each exit, which takes time. */
  constructor(workload: BenchWorkload, era: Era, countMarks: boolean) {
    this.#marks = countMarks ? new MarkCounter(() => this.#replay) : null;
    const observer = this.#marks === null ? {} : { observer: this.#marks };
    this.#replay = new TraceReplay({ era, host, guest: guestOf(workload), tlb: benchTlb, ...observer });
    this.#flushesBefore = this.#replay.cpu.cost().tlb_flushes;
    this.#linksBefore = this.#pagesGot() - 1;
  }

  replay(trace: Int32Array, from: number, to: number): void {
    this.#replay.run(trace, from, to);
  }

  /** Counts in the C program's sense; `adw` is 0 unless marks are counted. */
  counters(): BenchCounters {
    const { cpu, vm } = this.#replay;
    const counts = this.#replay.counts();
    const cost = cpu.cost();
    const { guest_walk_elements, set_spte, get_page_new, roots_allocated_shadow } = vm.counters;
    return {
      l1: cpu.tlb.l1Hits,
      l2: cpu.tlb.l2Hits,
      // An access that exits is looked up, and walks, again when the guest runs it again; the C program walks once.
      walks: cost.tlb_misses - counts.retries,
      refs: cost.reads_shadow + guest_walk_elements,
      faults: counts.pageFaults,
      exits: counts.exits,
      flushes: cost.tlb_flushes - this.#flushesBefore,
      adw: this.#marks?.marks ?? 0,
      // Leaf entries, and entries that point to tables: one for each page that was looked up, but for roots.
      fills: set_spte + this.#pagesGot() - this.#linksBefore - roots_allocated_shadow,
      spages: get_page_new,
      // The port's host frames are the guest's; the C program adds a constant to them.
      sum: (counts.frameSum + Math.imul(counts.reached, HOST_DATA_OFFSET)) >>> 0,
    };
  }

  #pagesGot(): number {
    const { get_page_new, get_page_existing } = this.#replay.vm.counters;
    return get_page_new + get_page_existing;
  }
}

/** Counts the guest entries that the kernel's fault handler changes. */
class MarkCounter implements TraceObserver {
  marks = 0;
  readonly #replay: () => TraceReplay;
  #before: readonly number[] = [];

  constructor(replay: () => TraceReplay) {
    this.#replay = replay;
  }

  faultBegin(page: number): void {
    this.#before = this.#entries(page);
  }

  faultEnd(page: number): void {
    const after = this.#entries(page);
    this.marks += this.#before.filter((entry, i) => entry !== after[i]).length;
  }

  #entries(page: number): number[] {
    const { guest, vm } = this.#replay();
    return guest.entries(page).map((address) => vm.memory.read64lo(address));
  }
}
