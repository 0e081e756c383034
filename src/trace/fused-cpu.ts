// SPDX-License-Identifier: GPL-2.0-only
import { GuestCpu, type GuestCpuOptions } from '../sim/guest-cpu.ts';
import type { Host } from '../sim/host.ts';
import type { PhysicalMemory } from '../sim/memory.ts';
import type { Registers } from '../sim/registers.ts';
import type { Tlb } from '../sim/tlb.ts';
import type { WalkCost } from '../sim/walk-cost.ts';
import { WriteJournal } from '../sim/write-journal.ts';
import type { TraceCpu } from './trace-replay.ts';

/** What can be asked of hardware; the numbers stand in the list of calls. */
const CALL = { LOAD_ROOT: 0, FLUSH: 1, FLUSH_ADDRESS: 2, SHADOW_NX: 3, REGISTERS: 4, CR3: 5 } as const;
/** A call and its two operands. */
const CALL_LENGTH = 3;

/** The accesses of several CPUs that cannot be told apart: one of them performs them for all. */
export interface SharedAccesses {
  /** Who performs them. */
  readonly lead: FusedCpu;
  /** The lead's memory was marked by an access: the others' shall be, too. */
  spreadMarks(): void;
}

/**
 * A CPU whose accesses another one may perform. What its kernel asks of hardware waits until `settle`, so that it can be
 * compared with what others ask before anything comes of it: a kernel never reads back from its CPU.
 */
export class FusedCpu implements TraceCpu {
  readonly memory: PhysicalMemory;
  readonly journal = new WriteJournal();
  /** Set by the group that it is in. */
  shared: SharedAccesses = { lead: this, spreadMarks: () => {} };
  readonly #own: GuestCpu;
  readonly #hardware: string;
  #calls: number[] = [];
  /** OUTCOME of the lead's access for the event that everyone is at, null when it has made none. */
  #outcome: number | null = null;

  constructor(host: Host, memory: PhysicalMemory, options: GuestCpuOptions) {
    this.memory = memory;
    this.#own = new GuestCpu(host, memory, options);
    const { tdp, adBits, cpuid } = host;
    this.#hardware = [tdp, adBits, cpuid.maxPhyAddr, cpuid.gbPages, cpuid.amd].join();
    memory.journal = this.journal;
  }

  get registers(): Registers {
    return this.#own.registers;
  }

  get tlb(): Tlb {
    return this.shared.lead.#own.tlb;
  }

  get frame(): number {
    return this.shared.lead.#own.frame;
  }

  get frameSum(): number {
    return this.shared.lead.#own.frameSum;
  }

  get outcome(): number {
    return this.shared.lead.#own.outcome;
  }

  get exitAddress(): number {
    return this.shared.lead.#own.exitAddress;
  }

  get exitCode(): number {
    return this.shared.lead.#own.exitCode;
  }

  /** Accesses and reads are those of the lead, which are its own as well; flushes are what its own kernel asked for. */
  cost(): WalkCost {
    const { tlb_flushes, tlb_flushes_address } = this.#own.cost();
    return { ...this.shared.lead.#own.cost(), tlb_flushes, tlb_flushes_address };
  }

  run(trace: Int32Array, from: number, to: number): number {
    const at = this.#own.run(trace, from, to);
    this.shared.spreadMarks();
    return at;
  }

  /** The first of a group to ask must be its lead. */
  access(lo: number, hi: number, access: number): number {
    const { lead } = this.shared;
    if (lead === this) {
      this.#outcome = this.#own.access(lo, hi, access);
      this.shared.spreadMarks();
    }
    if (lead.#outcome === null) throw new Error('fused replay: an access that the lead did not make');
    return lead.#outcome;
  }

  pdptesReload(cr3: number): boolean {
    return this.#own.pdptesReload(cr3);
  }

  loadRoot(frame: number, levels: number): void {
    this.#calls.push(CALL.LOAD_ROOT, frame, levels);
  }

  flushCurrent(): void {
    this.#calls.push(CALL.FLUSH, 0, 0);
  }

  flushGuest(): void {
    this.flushCurrent();
  }

  flushAddress(gva: number): void {
    this.#calls.push(CALL.FLUSH_ADDRESS, gva, 0);
  }

  setShadowNx(on: boolean): void {
    this.#calls.push(CALL.SHADOW_NX, on ? 1 : 0, 0);
  }

  registersChanged(): void {
    this.#calls.push(CALL.REGISTERS, 0, 0);
  }

  cr3Written(noflush: boolean): void {
    this.#calls.push(CALL.CR3, noflush ? 1 : 0, 0);
  }

  /** Whether the same kind of hardware was asked for the same since the last `settle`, and has the same registers. */
  askedLike(other: FusedCpu): boolean {
    return (
      this.#hardware === other.#hardware &&
      this.#calls.length === other.#calls.length &&
      this.#calls.every((value, i) => value === other.#calls[i]) &&
      sameRegisters(this.registers, other.registers)
    );
  }

  /** Goes on from where another CPU is, whose accesses have been its own so far; before either settles. */
  takeOver(other: FusedCpu): void {
    this.#own.copyTranslations(other.#own);
  }

  /** Does what was asked for. */
  settle(): void {
    const own = this.#own;
    const calls = this.#calls;
    for (let i = 0; i < calls.length; i += CALL_LENGTH) {
      const operand = calls[i + 1]!;
      switch (calls[i]) {
        case CALL.LOAD_ROOT:
          own.loadRoot(operand, calls[i + 2]!);
          break;
        case CALL.FLUSH:
          own.flushCurrent();
          break;
        case CALL.FLUSH_ADDRESS:
          own.flushAddress(operand);
          break;
        case CALL.SHADOW_NX:
          own.setShadowNx(operand !== 0);
          break;
        case CALL.REGISTERS:
          own.registersChanged();
          break;
        default:
          own.cr3Written(operand !== 0);
      }
    }
    calls.length = 0;
    this.journal.clear();
    this.#outcome = null;
  }
}

function sameRegisters(a: Registers, b: Registers): boolean {
  return (
    a.cr0 === b.cr0 &&
    a.cr3 === b.cr3 &&
    a.cr4 === b.cr4 &&
    a.efer === b.efer &&
    a.rflagsAc === b.rflagsAc &&
    a.pkru === b.pkru &&
    a.cpl === b.cpl &&
    a.pdptes.every((half, i) => half === b.pdptes[i])
  );
}
