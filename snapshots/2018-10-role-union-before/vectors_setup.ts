// SPDX-License-Identifier: GPL-2.0-only
/** What the vector sections share: machines to order, and the vectors' number forms. */
import type { VectorRow, VectorValue } from '../../src/era.ts';
import { decode, hex32 } from '../../src/role/layout.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { kvm_mmu_page_role } from './role.ts';
import { HF_GUEST_MASK, HF_SMM_MASK, kvm, type kvm_vcpu, type rsvd_bits_validate } from './types.ts';
import { create_vcpu } from './x86.ts';

/** A column that must be a number. */
export function num(row: VectorRow, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new Error(`column ${column}: a number is expected, not ${String(value)}`);
  return value;
}

/** A column of hex digits, as a double; bits above 52 round, so it is for addresses and register values. */
export function hex(row: VectorRow, column: string): number {
  return parseHex(row[column], column);
}

export function parseHex(value: VectorValue | undefined, what: string): number {
  if (typeof value !== 'string') throw new Error(`${what}: hex digits are expected, not ${String(value)}`);
  return Number.parseInt(value, 16);
}

/** Low and high half of 16 hex digits. */
export function halves(digits: string): { lo: number; hi: number } {
  const padded = digits.padStart(16, '0');
  return { lo: Number.parseInt(padded.slice(8), 16), hi: Number.parseInt(padded.slice(0, 8), 16) };
}

const no64 = { lo: 0, hi: 0 } as const;

/** The host most sections want: everything there, 46 physical bits, 4 KiB host pages. */
export const plainHost: Host = {
  vendor: 'vmx',
  tdp: 'none',
  tdpMmu: false,
  forcedTdpLevel: 0,
  maxTdpLevel: 4,
  adBits: true,
  physBits: 46,
  maxHugePageLevel: 1,
  gbPages: true,
  encryptionMask: no64,
  encryptionValue: no64,
  flushOnReuse: false,
  cpuid: {
    maxPhyAddr: 46,
    gbPages: true,
    amd: false,
    pcid: true,
    invpcid: true,
    smep: true,
    smap: true,
    pku: true,
    la57: true,
  },
};

/** A host with EPT of the given depth. Five levels need a guest with more than 48 physical address bits. */
export function eptHost(levels: number, adBits: boolean): Host {
  const cpuid = { ...plainHost.cpuid, maxPhyAddr: levels === 5 ? 52 : 46 };
  return { ...plainHost, tdp: 'ept', maxTdpLevel: levels, adBits, cpuid };
}

export const nptHost: Host = { ...plainHost, vendor: 'svm', tdp: 'npt', cpuid: { ...plainHost.cpuid, amd: true } };

/** A VM of 8 MiB (2048 frames) with one vCPU in protected mode. */
export function makeVcpu(host: Host, { guestFrames = 2048, pageLimit = 100000 } = {}): kvm_vcpu {
  const vm = new Vm({ host, memory: new PhysicalMemory(), guestFrames, pageLimit, reads: null });
  const registers = new Registers();
  registers.cr0 = CR0.PE | 0x10;
  return create_vcpu(new kvm(vm), registers, inertCpu);
}

/** Register columns of a row; absent ones are 0. */
export function setRegisters(vcpu: kvm_vcpu, row: VectorRow): void {
  const { registers } = vcpu;
  const bit = (column: string, mask: number): number => (row[column] === 1 ? mask : 0);
  registers.cr0 = (CR0.PE | bit('cr0_pg', CR0.PG) | bit('cr0_wp', CR0.WP)) >>> 0;
  registers.cr4 =
    bit('cr4_pae', CR4.PAE) |
    bit('cr4_pse', CR4.PSE) |
    bit('cr4_smep', CR4.SMEP) |
    bit('cr4_smap', CR4.SMAP) |
    bit('cr4_la57', CR4.LA57) |
    bit('cr4_pke', CR4.PKE);
  registers.efer = bit('efer_nx', EFER.NXE) | bit('efer_lma', EFER.LMA | EFER.LME);
  vcpu.hflags = (row.smm === 1 ? HF_SMM_MASK : 0) | (row.guest_mode === 1 ? HF_GUEST_MASK : 0);
}

/** Register columns for a `mode` column: levels of the guest's tables, 0 without paging. */
export function modeColumns(row: VectorRow): VectorRow {
  const mode = num(row, 'mode');
  return {
    ...row,
    cr0_pg: mode === 0 ? 0 : 1,
    cr4_pae: mode >= 3 ? 1 : 0,
    efer_lma: mode >= 4 ? 1 : 0,
    cr4_la57: mode === 5 ? 1 : 0,
  };
}

/** Long mode needs paging and PAE. */
export const archValid = (row: VectorRow): number =>
  row.efer_lma === 1 && (row.cr0_pg !== 1 || row.cr4_pae !== 1) ? 0 : 1;

/** A role word under `name`, and its fields under `prefix_…`. */
export function roleColumns(name: string, prefix: string, word: number): VectorRow {
  const fields = Object.entries(decode(kvm_mmu_page_role, word).fields);
  return { [name]: hex32(word), ...Object.fromEntries(fields.map(([field, value]) => [`${prefix}_${field}`, value])) };
}

const hex64 = (lo: number, hi: number): string => hex32(hi) + hex32(lo);

/** `<name>_mask_P_L` for both values of bit 7 and five levels, and `<name>_bad_mt_xwr`. */
export function rsvdColumns(name: string, { rsvd_bits_mask, bad_mt_xwr }: rsvd_bits_validate): VectorRow {
  const columns: Record<string, VectorValue> = {};
  for (const bit7 of [0, 1]) {
    for (let level = 1; level <= 5; level++) {
      const at = (bit7 * 5 + level - 1) * 2;
      columns[`${name}_mask_${bit7}_${level}`] = hex64(rsvd_bits_mask[at]!, rsvd_bits_mask[at + 1]!);
    }
  }
  columns[`${name}_bad_mt_xwr`] = hex64(bad_mt_xwr[0]!, bad_mt_xwr[1]!);
  return columns;
}

/** Bytes as hex digits. */
export const hexBytes = (bytes: Iterable<number>): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
