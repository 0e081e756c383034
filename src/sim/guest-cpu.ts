// SPDX-License-Identifier: GPL-2.0-only
import type { Cpu } from './cpu.ts';
import type { Host } from './host.ts';
import { addressOf, type PhysicalMemory } from './memory.ts';
import { eptViolationQualification, npfExitInfoHigh } from './nested-walk.ts';
import { ACCESS } from './paging-bits.ts';
import { type PagingFeatures, pagingModeOf, pagingModes } from './paging-modes.ts';
import { PagingStructureCaches, type PagingStructureShape } from './paging-structure-caches.ts';
import { CR0, CR3_PCID, CR4, EFER, loadPdptes, Registers } from './registers.ts';
import { commonTlb, Tlb, type TlbShape } from './tlb.ts';
import { addressHighOf, Translator } from './translator.ts';
import { Walker } from './walk.ts';
import type { WalkCost } from './walk-cost.ts';
import { FAULT } from './walk-result.ts';

/** How an access of the guest ended. */
export const OUTCOME = {
  DONE: 0,
  /** The guest's own tables refuse it: #PF to the guest, no exit (two-dimensional paging only). */
  GUEST_FAULT: 1,
  /** An exit to KVM: `exitAddress` and `exitCode` say why. */
  EXIT: 2,
  /** The address is not canonical: #GP to the guest. */
  NONCANONICAL: 3,
} as const;

/** No root was loaded yet. */
const NO_ROOT = -1;

/** The one address-space id (ASID or VPID) that the guest of this VM runs under. */
const GUEST_ASID = 1;

/** Parts of a CPU that change what translation costs, and nothing that a guest or KVM could see. */
export interface GuestCpuOptions {
  /** Default: `commonTlb`. */
  readonly tlb?: TlbShape;
  /**
   * Paging-structure caches of the guest's dimension. None by default: reads of entries are then those of whole walks,
   * which can be worked out by hand, while with caches they depend on sizes that no two CPUs share.
   */
  readonly caches?: PagingStructureShape | null;
}

/**
 * The CPU that a guest runs on: its registers, the tables that hardware walks for it, and what the walks cost.
 *
 * Shadow paging: hardware walks KVM's tables with registers of KVM's choice (paging always on, CR0.WP always set) and
 * every refusal is an exit. Two-dimensional paging: hardware walks the guest's tables with the guest's registers, and
 * KVM's tables underneath; only refusals of the latter are exits.
 */
export class GuestCpu implements Cpu {
  /** The guest's registers: L2's while L2 runs. After a change call `registersChanged`. */
  readonly registers = new Registers();
  readonly tlb: Tlb;
  /** After a DONE access: host frame that was reached, which is the guest frame too. */
  frame = 0;
  /** OUTCOME of the access where the last `run` stopped. */
  outcome: number = OUTCOME.DONE;
  exitAddress = 0;
  exitCode = 0;
  readonly #host: Host;
  readonly #memory: PhysicalMemory;
  readonly #features: PagingFeatures;
  readonly #hostFeatures: PagingFeatures;
  readonly #walker: Walker;
  readonly #translator: Translator;
  #accesses = 0;
  #flushes = 0;
  #addressFlushes = 0;
  readonly #nested: Walker | null;
  /** The guest's registers as they were taken over last, and whether nothing else has changed since. */
  readonly #seen = new Registers();
  #upToDate = false;
  /** The registers hardware has in fact. */
  readonly #hardware = new Registers();
  #rootFrame = NO_ROOT;
  #rootLevels = 0;
  /** Bits of an address's high half that count: all in long mode, none outside it, where addresses have 32 bits. */
  #addressHigh = 0;
  #shadowNx = true;
  readonly #untagged: boolean;

  constructor(host: Host, memory: PhysicalMemory, { tlb = commonTlb, caches = null }: GuestCpuOptions = {}) {
    const { cpuid } = host;
    this.#host = host;
    this.#memory = memory;
    this.#untagged = host.exits?.errata?.untaggedTlb ?? false;
    this.#features = {
      maxPhyAddr: cpuid.maxPhyAddr,
      gbPages: cpuid.gbPages,
      amd: cpuid.amd,
      executeOnly: false,
      marksPdptes: host.exits?.errata?.marksPdptes ?? false,
    };
    // One bit short of the format's limit, as on every CPU so far: kernels make entries that fault by setting them all.
    this.#hostFeatures = { maxPhyAddr: 51, gbPages: true, amd: false, executeOnly: true };
    this.#nested = host.tdp === 'none' ? null : new Walker(memory);
    const structureCaches = caches === null ? null : new PagingStructureCaches(memory, caches);
    this.#walker = new Walker(memory, this.#nested, structureCaches);
    // Under EPT a CPU keeps PDPTEs as without it (SDM vol. 3C 29.3.1); under NPT it reads them with every walk.
    if (host.tdp === 'ept') this.#walker.pdptesInRegisters = true;
    this.tlb = new Tlb(memory, tlb, structureCaches);
    this.#translator = new Translator(this.tlb, this.#walker);
  }

  /** What translation has cost so far. */
  cost(): WalkCost {
    const { walks, reads, nestedReads } = this.#translator;
    const shadow = this.#nested === null;
    return {
      accesses: this.#accesses,
      tlb_misses: walks,
      reads_guest: shadow ? 0 : reads,
      reads_nested: nestedReads,
      reads_shadow: shadow ? reads : 0,
      tlb_flushes: this.#flushes,
      tlb_flushes_address: this.#addressFlushes,
    };
  }

  /** Takes over what the accesses of another CPU have cached and cost, as if they had been its own. Flushes stay its own. */
  copyTranslations(other: GuestCpu): void {
    this.#translator.copyFrom(other.#translator);
    this.#accesses = other.#accesses;
  }

  /** Takes over the guest's registers for the accesses to come. */
  registersChanged(): void {
    const { registers } = this;
    // At most entries to the guest nothing has changed.
    if (this.#upToDate && !this.#readsPdptes() && registers.isLike(this.#seen)) return;
    this.#upToDate = true;
    this.#seen.copy(registers);
    const { cr0, cr3, cr4, efer } = registers;
    this.#addressHigh = (efer & EFER.LME) !== 0 && (cr0 & CR0.PG) !== 0 ? -1 : 0;
    this.tlb.setContext(GUEST_ASID, (cr4 & CR4.PCIDE) !== 0 ? cr3 & CR3_PCID : 0);
    if (this.#nested !== null) this.#loadTwoDimensional();
    else this.#loadShadow();
  }

  /** Whether PDPTEs are in force, which each entry loads again: from KVM's table, or from where KVM keeps the guest's. */
  #readsPdptes(): boolean {
    return this.#nested === null ? this.#rootLevels === 3 : this.#walker.pdptes !== null;
  }

  /** Hardware works out EFER.LMA itself, whatever KVM stored: long mode is LME and paging. SDM vol. 3A 10.8.5. */
  #loadTwoDimensional(): void {
    const hardware = this.#hardware;
    hardware.copy(this.registers);
    const longMode = (hardware.efer & EFER.LME) !== 0 && (hardware.cr0 & CR0.PG) !== 0;
    hardware.efer = longMode ? hardware.efer | EFER.LMA : hardware.efer & ~EFER.LMA;
    this.#walker.load(hardware, this.#features);
  }

  /** MOV to CR3 under PAE paging without an exit loads the PDPTEs, where the CPU keeps them. False: #GP. */
  pdptesReload(cr3: number): boolean {
    const { registers } = this;
    if (!this.#walker.pdptesInRegisters || pagingModeOf(registers) !== pagingModes.pae) return true;
    const before = registers.cr3;
    registers.cr3 = cr3;
    const done = loadPdptes(this.#memory, registers, this.#host.cpuid.maxPhyAddr);
    if (!done) registers.cr3 = before;
    return done;
  }

  /** What hardware flushes when the guest itself writes CR3 (no exit). SDM vol. 3A 4.10.4.1. */
  cr3Written(noflush: boolean): void {
    const { cr3, cr4 } = this.registers;
    if (this.#untagged) this.tlb.flushAsid(GUEST_ASID);
    else if (!noflush) this.tlb.flushPcid(GUEST_ASID, (cr4 & CR4.PCIDE) !== 0 ? cr3 & CR3_PCID : 0);
  }

  /** The CPU goes into the guest. */
  entered(): void {
    if (this.#untagged) this.tlb.flushAsid(GUEST_ASID);
  }

  loadRoot(frame: number, levels: number): void {
    this.#rootFrame = frame;
    this.#rootLevels = levels;
    const nested = this.#nested;
    if (nested === null) {
      this.#loadShadow();
      return;
    }
    const { tdp, adBits } = this.#host;
    nested.loadNested({
      root: addressOf(frame),
      mode: nestedMode(tdp, levels),
      features: this.#hostFeatures,
      nxe: true,
      eptMarks: tdp !== 'ept' || adBits,
    });
  }

  setShadowNx(on: boolean): void {
    this.#shadowNx = on;
    this.#upToDate = false;
  }

  flushCurrent(): void {
    this.#flushes++;
    this.tlb.flushAsid(GUEST_ASID);
  }

  flushGuest(): void {
    this.flushCurrent();
  }

  flushAddress(gva: number): void {
    this.#addressFlushes++;
    // Not `%`, which is a call into the C library.
    const high = Math.floor(gva / 2 ** 32);
    this.tlb.flushAddress(gva - high * 2 ** 32, high & this.#addressHigh);
  }

  /**
   * One access at a linear address (two 32-bit halves); `access` is of ACCESS bits. Returns an OUTCOME. For an EXIT,
   * `exitAddress` is the page of CR2 under shadow paging (no double holds every linear address) and the guest-physical
   * address otherwise, `exitCode` the #PF error code, EXITINFO1 with its high half, or the exit qualification.
   */
  access(lo: number, hi: number, access: number): number {
    hi &= this.#addressHigh;
    this.#accesses++;
    return this.#outcome(this.#translator.access(lo, hi, access), lo, hi);
  }

  /** Opens a piece of a packed trace (src/sim/translator.ts says which form) for `run`, up to event `to`. */
  open(piece: Int32Array, to: number): void {
    this.#translator.open(piece, to);
  }

  /**
   * Performs the accesses of the piece from number `from` to the first that is not DONE, or the first event that is no
   * access, or the end. Returns where it stopped; `outcome` is that access's OUTCOME, DONE when none stopped it. Page numbers
   * have no bits above 31:0 outside long mode.
   */
  run(from: number): number {
    const user = this.registers.cpl === 3 ? ACCESS.USER : 0;
    const at = this.#translator.run(from, user);
    const { fault, piece } = this.#translator;
    this.#accesses += at - from + (fault === FAULT.NONE ? 0 : 1);
    if (fault === FAULT.NONE) this.outcome = OUTCOME.DONE;
    else {
      const page = piece[2 * at]!;
      this.outcome = this.#outcome(fault, page << 12, addressHighOf(page, piece[2 * at + 1]!));
    }
    return at;
  }

  /** Sum of the frames that `run` reached, modulo 2 ** 32 and signed. */
  get frameSum(): number {
    return this.#translator.frameSum;
  }

  #outcome(fault: number, lo: number, hi: number): number {
    if (fault === FAULT.NONE) {
      this.frame = this.#translator.frame;
      return OUTCOME.DONE;
    }
    const walker = this.#walker;
    const { result } = walker;
    if (fault === FAULT.NONCANONICAL) return OUTCOME.NONCANONICAL;
    if (fault === FAULT.PAGE) {
      this.exitCode = result.errorCode;
      this.exitAddress = (hi >>> 0) * 2 ** 32 + ((lo & ~0xfff) >>> 0);
      return this.#nested === null ? OUTCOME.EXIT : OUTCOME.GUEST_FAULT;
    }
    if (fault === FAULT.MISCONFIGURED) throw new Error(`EPT entry for ${result.faultGpa.toString(16)} is malformed`);
    this.exitAddress = result.faultGpa;
    this.exitCode =
      this.#host.tdp === 'ept'
        ? eptViolationQualification(walker)
        : npfExitInfoHigh(walker) * 2 ** 32 + result.errorCode;
    return OUTCOME.EXIT;
  }

  /** Shadow paging: hardware's registers follow the guest's only where KVM lets them. */
  #loadShadow(): void {
    if (this.#rootFrame === NO_ROOT) return;
    const guest = this.registers;
    const hardware = this.#hardware;
    const paging = (guest.cr0 & CR0.PG) !== 0;
    hardware.cr0 = (CR0.PE | CR0.WP | CR0.PG) >>> 0;
    // Without guest paging its pages are shadowed as user pages, which SMEP and SMAP would forbid to the guest.
    hardware.cr4 = CR4.PAE | (paging ? guest.cr4 & (CR4.SMEP | CR4.SMAP) : 0) | (this.#rootLevels === 5 ? CR4.LA57 : 0);
    hardware.efer = (this.#shadowNx ? EFER.NXE : 0) | (this.#rootLevels > 3 ? EFER.LME | EFER.LMA : 0);
    hardware.rflagsAc = guest.rflagsAc;
    hardware.cr3 = addressOf(this.#rootFrame);
    if (this.#rootLevels === 3 && !loadPdptes(this.#memory, hardware, this.#hostFeatures.maxPhyAddr)) {
      throw new Error(`root table at frame ${this.#rootFrame} has a malformed PDPTE`);
    }
    this.#walker.load(hardware, this.#hostFeatures);
  }
}

function nestedMode(tdp: Host['tdp'], levels: number) {
  if (tdp === 'ept') return levels === 5 ? pagingModes.ept5 : pagingModes.ept4;
  if (levels === 3) return pagingModes.pae;
  return levels === 5 ? pagingModes['5level'] : pagingModes['4level'];
}
