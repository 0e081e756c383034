// SPDX-License-Identifier: GPL-2.0-only
import { HOST_TABLE_FRAME, PhysicalMemory } from '../sim/memory.ts';
import { ACCESS, PTE } from '../sim/paging-bits.ts';
import { pagingModeOf, pagingModes, plainFeatures } from '../sim/paging-modes.ts';
import { PagingStructureCaches, type PagingStructureShape } from '../sim/paging-structure-caches.ts';
import { CR3_PCID, CR4, EFER, loadPdptes, Registers } from '../sim/registers.ts';
import { commonTlb, Tlb, type TlbShape } from '../sim/tlb.ts';
import { addressHighOf, Translator } from '../sim/translator.ts';
import { Walker } from '../sim/walk.ts';
import { FAULT } from '../sim/walk-result.ts';
import { EVENT, KIND_SHIFT } from './events.ts';
import { frameOf, stepOf, type TraceGuest } from './guest.ts';
import { GuestState, startRegisters } from './guest-state.ts';
import { TableBuilder, TableForm } from './guest-tables.ts';
import { describeEvent, eventError } from './mistakes.ts';

/** Added to a guest's data frames by the nested tables. */
export const HOST_DATA_OFFSET = 0x3c00000;

const ASID = 1;

export interface HardwareOptions {
  /** Guest tables over nested ones (EPT in 4 KiB pages, without marks) that map everything from the beginning. */
  readonly nested?: boolean;
  /** Default: `commonTlb`. */
  readonly tlb?: TlbShape;
  /** Paging-structure caches of the guest's dimension; none by default. */
  readonly caches?: PagingStructureShape | null;
}

/** Replays a packed trace on a CPU alone, without a kernel under it: what the translation itself costs. */
export class HardwareReplay {
  readonly cpu: Translator;
  /** Events replayed so far. */
  events = 0;
  #fetchSum = 0;
  readonly #registers = new Registers();
  readonly #memory = new PhysicalMemory();
  readonly #guest: GuestState;

  constructor(guest: TraceGuest, { nested = false, tlb = commonTlb, caches = null }: HardwareOptions = {}) {
    const memory = this.#memory;
    this.#guest = new GuestState(memory, guest);
    const structureCaches = caches === null ? null : new PagingStructureCaches(memory, caches);
    const nestedWalk = nested ? nestedWalker(memory, guest, this.#guest.tablesEnd) : null;
    this.cpu = new Translator(new Tlb(memory, tlb, structureCaches), new Walker(memory, nestedWalk, structureCaches));
    this.cpu.passesFaults = true;
    const registers = this.#registers;
    const { cr0, cr4, efer } = startRegisters(guest.paging);
    registers.cr0 = cr0;
    registers.cr4 = cr4;
    registers.efer = (efer & EFER.LME) !== 0 ? efer | EFER.LMA : efer;
    registers.cr3 = this.#guest.cr3(0);
    this.#load();
  }

  /** Accesses that the guest's tables refuse, those to addresses that are not canonical included. */
  get faults(): number {
    return this.cpu.faults;
  }

  /** Sum of the frames reached, modulo 2 ** 32. */
  get frameSum(): number {
    return (this.cpu.frameSum + this.#fetchSum) >>> 0;
  }

  /** Replays events `from` to `to` of a trace. UserError for an event that the guest cannot do. */
  run(trace: Int32Array, from: number, to: number): void {
    const { cpu } = this;
    const registers = this.#registers;
    cpu.open(trace, to);
    for (let at = from; at < to; at++) {
      at = cpu.run(at, registers.cpl === 3 ? ACCESS.USER : 0);
      if (at < to) this.#control(trace[2 * at]!, trace[2 * at + 1]!, this.events + at - from);
    }
    this.events += to - from;
  }

  #control(lo: number, hi: number, number: number): void {
    const { cpu } = this;
    const registers = this.#registers;
    switch (hi >>> KIND_SHIFT) {
      case EVENT.EXEC: {
        const user = registers.cpl === 3 ? ACCESS.USER : 0;
        const fault = cpu.access(lo << 12, addressHighOf(lo, hi), ACCESS.FETCH | user);
        if (fault === FAULT.NONE) this.#fetchSum = (this.#fetchSum + cpu.frame) | 0;
        return;
      }
      case EVENT.EDIT:
        this.#guest.edit(lo, hi, number);
        return;
      case EVENT.INVLPG:
        cpu.tlb.flushAddress(lo << 12, addressHighOf(lo, hi));
        return;
      case EVENT.CPL:
        registers.cpl = lo;
        return;
      case EVENT.AC:
        registers.rflagsAc = lo;
        this.#load();
        return;
      case EVENT.PHASE:
        return;
      default:
        this.#write(lo, hi, number);
    }
  }

  #write(lo: number, hi: number, number: number): void {
    const registers = this.#registers;
    const write = this.#guest.registerWrite(lo, hi, registers.cr0, number);
    if (write === null) throw eventError(number, describeEvent(lo, hi), 'an event of docs/traces.md');
    const { register, value, noflush, space = this.#guest.space } = write;
    this.#guest.space = space;
    const changed = registers[register] ^ value;
    registers[register] = register === 'efer' && (value & EFER.LME) !== 0 ? value | EFER.LMA : value;
    this.#load();
    // SDM vol. 3A 4.10.4.1.
    const pcid = (registers.cr4 & CR4.PCIDE) !== 0 ? registers.cr3 & CR3_PCID : 0;
    if (register === 'cr3' && !noflush) this.cpu.tlb.flushPcid(ASID, pcid);
    if (register === 'cr4' && (changed & CR4.PGE) !== 0) this.cpu.tlb.flushAsid(ASID);
  }

  #load(): void {
    const registers = this.#registers;
    if (pagingModeOf(registers) === pagingModes.pae) loadPdptes(this.#memory, registers, plainFeatures.maxPhyAddr);
    this.cpu.walker.load(registers);
    this.cpu.tlb.setContext(ASID, (registers.cr4 & CR4.PCIDE) !== 0 ? registers.cr3 & CR3_PCID : 0);
  }
}

/** EPT without marks, in small pages: guest tables at their own frames, data elsewhere. */
function nestedWalker(memory: PhysicalMemory, guest: TraceGuest, tablesEnd: number): Walker {
  const tables = new TableBuilder(memory, new TableForm('4level'), HOST_TABLE_FRAME);
  const root = tables.newTable();
  const bits = { lo: PTE.P | PTE.W | PTE.U, nx: false }; // which are R, W and X for EPT
  const map = (gfn: number, frame: number) => tables.map(root, gfn, { frame, bits, level: 1 });
  for (let frame = guest.tableFrame; frame < tablesEnd; frame++) map(frame, frame);
  for (const { maps } of guest.spaces) {
    for (const each of maps) {
      for (let i = 0; i < each.count; i++) {
        const first = frameOf(each, i);
        for (let part = 0; part < stepOf(each.size); part++) map(first + part, first + part + HOST_DATA_OFFSET);
      }
    }
  }
  const walker = new Walker(memory);
  const { ept4: mode } = pagingModes;
  walker.loadNested({ root: root * 4096, mode, features: plainFeatures, nxe: true, eptMarks: false });
  return walker;
}
