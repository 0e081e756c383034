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

/** No root was asked for yet. */
const NO_ROOT = -1;

/** The accesses of several CPUs that cannot be told apart: one of them performs them for all. */
export interface SharedAccesses {
  /** Who performs them. */
  readonly lead: FusedCpu;
  /** The lead's memory was marked by an access: the others' shall be, too. */
  spreadMarks(): void;
}

/**
 * A CPU whose accesses another one may perform. What its kernel asks of hardware waits until `settle`, so that it can be
 * compared with what others ask before anything comes of it: a kernel never reads back from its CPU. Only the lead of a
 * group does then what was asked for. The others asked for the same, so theirs would be the same hardware; of it they
 * keep what `takeOver` needs to make it anew. Without others nothing waits.
 */
export class FusedCpu implements TraceCpu {
  readonly memory: PhysicalMemory;
  readonly journal = new WriteJournal();
  /** Set by the group that it is in. */
  shared: SharedAccesses = { lead: this, spreadMarks: () => {} };
  readonly #own: GuestCpu;
  readonly #hardware: string;
  /** What was asked for since the last `settle`: the first `#asked` numbers. */
  readonly #calls: number[] = [];
  #asked = 0;
  #flushes = 0;
  #addressFlushes = 0;
  /** The root that hardware has, and EFER.NX as it has it; as of the last `settle`. */
  #rootFrame = NO_ROOT;
  #rootLevels = 0;
  #shadowNx = true;
  /** Nobody takes part any more, and nobody will. */
  #isAlone = false;
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
    return {
      ...this.shared.lead.#own.cost(),
      tlb_flushes: this.#flushes,
      tlb_flushes_address: this.#addressFlushes,
    };
  }

  open(piece: Int32Array, to: number): void {
    this.#own.open(piece, to);
  }

  run(from: number): number {
    const at = this.#own.run(from);
    this.shared.spreadMarks();
    return at;
  }

  /** The first of a group to ask must be its lead. */
  access(lo: number, hi: number, access: number): number {
    if (this.#isAlone) return this.#own.access(lo, hi, access);
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
    this.#ask(CALL.LOAD_ROOT, frame, levels);
  }

  flushCurrent(): void {
    this.#flushes++;
    this.#ask(CALL.FLUSH);
  }

  flushGuest(): void {
    this.flushCurrent();
  }

  flushAddress(gva: number): void {
    this.#addressFlushes++;
    this.#ask(CALL.FLUSH_ADDRESS, gva);
  }

  setShadowNx(on: boolean): void {
    this.#ask(CALL.SHADOW_NX, on ? 1 : 0);
  }

  registersChanged(): void {
    this.#ask(CALL.REGISTERS);
  }

  cr3Written(noflush: boolean): void {
    this.#ask(CALL.CR3, noflush ? 1 : 0);
  }

  #ask(call: number, operand = 0, second = 0): void {
    if (this.#isAlone) {
      this.#do(call, operand, second);
      return;
    }
    const calls = this.#calls;
    const at = this.#asked;
    calls[at] = call;
    calls[at + 1] = operand;
    calls[at + 2] = second;
    this.#asked = at + CALL_LENGTH;
  }

  /** Whether it is the same kind of hardware. */
  isLike(other: FusedCpu): boolean {
    return this.#hardware === other.#hardware;
  }

  /** Whether what was asked for since the last `settle` comes to the same, and the registers are the same. */
  askedLike(other: FusedCpu): boolean {
    if (!this.#askedTheSame(other) && !this.#endsEmptyLike(other)) return false;
    return sameRegisters(this.registers, other.registers);
  }

  #askedTheSame(other: FusedCpu): boolean {
    if (this.#asked !== other.#asked) return false;
    for (let i = 0; i < this.#asked; i++) if (this.#calls[i] !== other.#calls[i]) return false;
    return true;
  }

  /**
   * Both flush everything, and no access is made before `settle`: then no translation is left, in whatever order, how often and
   * what else they flush, and the rest is what registers and tables hardware has in the end.
   */
  #endsEmptyLike(other: FusedCpu): boolean {
    for (const call of [CALL.FLUSH, CALL.REGISTERS]) if (!this.#asks(call) || !other.#asks(call)) return false;
    const a = this.#inTheEnd();
    const b = other.#inTheEnd();
    return a.root === b.root && a.levels === b.levels && a.nx === b.nx;
  }

  /** What hardware will walk after `settle`. */
  #inTheEnd(): { root: number; levels: number; nx: boolean } {
    const end = { root: this.#rootFrame, levels: this.#rootLevels, nx: this.#shadowNx };
    for (let i = 0; i < this.#asked; i += CALL_LENGTH) {
      const operand = this.#calls[i + 1]!;
      if (this.#calls[i] === CALL.LOAD_ROOT) {
        end.root = operand;
        end.levels = this.#calls[i + 2]!;
      } else if (this.#calls[i] === CALL.SHADOW_NX) end.nx = operand !== 0;
    }
    return end;
  }

  /**
   * Goes on from where the lead of its group is, whose accesses have been its own so far; before either settles, and
   * before it has another lead.
   */
  takeOver(lead: FusedCpu): void {
    const own = this.#own;
    own.setShadowNx(this.#shadowNx);
    // Where a root is asked for, registers are too, after it: an old root may be no table any more.
    if (!this.#asks(CALL.LOAD_ROOT)) {
      if (this.#rootFrame !== NO_ROOT) own.loadRoot(this.#rootFrame, this.#rootLevels);
      own.registersChanged();
    }
    own.copyTranslations(lead.#own);
  }

  #asks(call: number): boolean {
    for (let i = 0; i < this.#asked; i += CALL_LENGTH) if (this.#calls[i] === call) return true;
    return false;
  }

  /** What was asked for is done, and may be asked for again. */
  settle(): void {
    const leads = this.shared.lead === this;
    for (let i = 0; i < this.#asked; i += CALL_LENGTH) {
      const call = this.#calls[i]!;
      const operand = this.#calls[i + 1]!;
      if (call === CALL.LOAD_ROOT) {
        this.#rootFrame = operand;
        this.#rootLevels = this.#calls[i + 2]!;
      } else if (call === CALL.SHADOW_NX) this.#shadowNx = operand !== 0;
      if (leads) this.#do(call, operand, this.#calls[i + 2]!);
    }
    this.#asked = 0;
    this.journal.clear();
    this.#outcome = null;
  }

  /** After `settle`: from now on its accesses are its own alone, what is asked for is done at once, and no changes are noted. */
  goAlone(): void {
    this.#isAlone = true;
    this.memory.journal = null;
  }

  #do(call: number, operand: number, second: number): void {
    const own = this.#own;
    switch (call) {
      case CALL.LOAD_ROOT:
        own.loadRoot(operand, second);
        return;
      case CALL.FLUSH:
        own.flushCurrent();
        return;
      case CALL.FLUSH_ADDRESS:
        own.flushAddress(operand);
        return;
      case CALL.SHADOW_NX:
        own.setShadowNx(operand !== 0);
        return;
      case CALL.REGISTERS:
        own.registersChanged();
        return;
      default:
        own.cr3Written(operand !== 0);
    }
  }
}

function sameRegisters(a: Registers, b: Registers): boolean {
  if (!a.isLike(b)) return false;
  for (let half = 0; half < a.pdptes.length; half++) if (a.pdptes[half] !== b.pdptes[half]) return false;
  return true;
}
