// SPDX-License-Identifier: GPL-2.0-only
import { causeNames } from '../sim/access-rules.ts';
import { frameOf, PhysicalMemory } from '../sim/memory.ts';
import { npfExitInfoHigh } from '../sim/nested-walk.ts';
import { ACCESS } from '../sim/paging-bits.ts';
import { type PagingFeatures, pagingModes, plainFeatures } from '../sim/paging-modes.ts';
import { CR0, CR4, EFER, loadPdptes, Registers } from '../sim/registers.ts';
import { Walker } from '../sim/walk.ts';
import { FAULT } from '../sim/walk-result.ts';
import { entryBytes, type Halves, hexOf, type WalkRecord } from './walk-record.ts';

/** What came of an access, in the words of the records. Both "GP" outcomes end before the walk; no vector has one. */
export type WalkOutcome =
  | { readonly fault: null; readonly gpa: string; readonly hpa?: string }
  | { readonly fault: 'PF'; readonly error_code: number; readonly cr2: string; readonly cause: string }
  | { readonly fault: 'NPF'; readonly exitinfo1: string; readonly exitinfo2: string }
  | { readonly fault: 'GP'; readonly error_code: 0 };

/** The answer to a record: its outcome, and each entry's value afterwards, in the record's order. */
export interface WalkAnswer {
  readonly outcome: WalkOutcome;
  readonly after: readonly Halves[];
}

/** Runs records one after the other on the simulated hardware, in one memory that each leaves as empty as it was. */
export class WalkRunner {
  readonly #memory = new PhysicalMemory();
  readonly #nested = new Walker(this.#memory);
  readonly #walkers = {
    oneDimensional: new Walker(this.#memory),
    twoDimensional: new Walker(this.#memory, this.#nested),
  };

  /** Performs the access of one record. */
  run(record: WalkRecord): WalkAnswer {
    const memory = this.#memory;
    for (const { addr, before, dim } of record.entries) {
      memory.write32(addr, before.lo);
      if (entryBytes(record.tables, dim) === 8) memory.write32(addr + 4, before.hi);
    }
    const outcome = this.#access(record);
    const after = record.entries.map(({ addr, dim }) => ({
      lo: memory.read32(addr),
      hi: entryBytes(record.tables, dim) === 8 ? memory.read32(addr + 4) : 0,
    }));
    for (const { addr } of record.entries) memory.releaseFrame(frameOf(addr));
    return { outcome, after };
  }

  #access(record: WalkRecord): WalkOutcome {
    const features: PagingFeatures = { ...plainFeatures, maxPhyAddr: record.maxPhyAddr };
    const registers = registersOf(record);
    if (record.nested) {
      const { root, nxe } = record.nested;
      this.#nested.loadNested({ root, mode: pagingModes['4level'], features, nxe, eptMarks: true });
    } else if (record.tables === 'pae' && !loadPdptes(this.#memory, registers, record.maxPhyAddr)) {
      return { fault: 'GP', error_code: 0 };
    }
    const walker = record.nested ? this.#walkers.twoDimensional : this.#walkers.oneDimensional;
    walker.load(registers, features);
    const { lo, hi } = record.gva;
    walker.walk(lo, hi, accessOf(record));
    return outcomeOf(walker, record.gva);
  }
}

function outcomeOf(walker: Walker, gva: Halves): WalkOutcome {
  const { result, nested } = walker;
  const offset = gva.lo & 0xfff;
  switch (result.fault) {
    case FAULT.NONE: {
      const gpa = hexOfAddress(result.frame * 4096 + offset);
      return nested ? { fault: null, gpa, hpa: hexOfAddress(result.hostFrame * 4096 + offset) } : { fault: null, gpa };
    }
    case FAULT.PAGE:
      return { fault: 'PF', error_code: result.errorCode, cr2: hexOf(gva), cause: causeNames[result.cause]! };
    case FAULT.NESTED: {
      const exitinfo1 = hexOf({ lo: result.errorCode, hi: npfExitInfoHigh(walker) });
      return { fault: 'NPF', exitinfo1, exitinfo2: hexOfAddress(result.faultGpa) };
    }
    case FAULT.NONCANONICAL:
      return { fault: 'GP', error_code: 0 };
    default:
      throw new Error(`walk: fault ${result.fault} cannot happen without EPT`);
  }
}

/** The registers that a record implies; fields without effect in its mode are set all the same. */
function registersOf({ tables, controls, cr3, pkru, user }: WalkRecord): Registers {
  const registers = new Registers();
  const wide = tables === '4level' || tables === '5level';
  registers.cr0 = (CR0.PE | CR0.PG | (controls.cr0_wp ? CR0.WP : 0)) >>> 0;
  registers.cr3 = cr3;
  registers.cr4 =
    (controls.cr4_pse || tables === 'pse' ? CR4.PSE : 0) |
    (wide || tables === 'pae' ? CR4.PAE : 0) |
    (tables === '5level' ? CR4.LA57 : 0) |
    (controls.cr4_smep ? CR4.SMEP : 0) |
    (controls.cr4_smap ? CR4.SMAP : 0) |
    (controls.cr4_pke ? CR4.PKE : 0);
  registers.efer = (wide ? EFER.LME | EFER.LMA : 0) | (controls.efer_nxe ? EFER.NXE : 0);
  registers.rflagsAc = controls.eflags_ac;
  registers.pkru = pkru;
  registers.cpl = user ? 3 : 0;
  return registers;
}

const kinds = { r: ACCESS.READ, w: ACCESS.WRITE, x: ACCESS.FETCH } as const;

const accessOf = ({ access, user }: WalkRecord): number => kinds[access] | (user ? ACCESS.USER : 0);

const hexOfAddress = (address: number): string => `0x${address.toString(16)}`;

/** Whether the access faulted and yet marked entries: the field `ad_on_fault` of the records. */
export function marksOnFault(record: WalkRecord, { outcome, after }: WalkAnswer): boolean {
  return outcome.fault !== null && record.entries.some(({ before }, i) => !sameHalves(before, after[i]!));
}

/** Whether two 64-bit values are the same. */
export const sameHalves = (a: Halves, b: Halves): boolean => a.lo === b.lo && a.hi === b.hi;

/** The record's JSON with the answer filled in, in the order of the fields of the recorded walks. */
export function answeredRecord(record: WalkRecord, answer: WalkAnswer): Record<string, unknown> {
  const { entries, result: _given, ad_on_fault: _marked, dev, raw, amd_differs, ...inputs } = record.json;
  const listed = entries as readonly Record<string, unknown>[]; // parseWalkRecord has checked that it is a list of objects
  return {
    ...inputs,
    entries: listed.map((entry, i) => ({ ...entry, after: hexOf(answer.after[i]!) })),
    result: answer.outcome,
    ...(dev === undefined ? {} : { dev }),
    ...(marksOnFault(record, answer) ? { ad_on_fault: 1 } : {}),
    ...(raw === undefined ? {} : { raw }),
    ...(amd_differs === undefined ? {} : { amd_differs }),
  };
}
