// SPDX-License-Identifier: GPL-2.0-only
/** What the vector sections share: machines to order, and the vectors' number forms. */
import type { VectorRow, VectorValue } from '../../src/era.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { GuestCpuid, Host, U64 } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { HF_GUEST_MASK, HF_SMM_MASK, kvm, kvm_vcpu } from './types.ts';

/** A column as a whole number in a range; throws when it is none. */
export function number(row: VectorRow, column: string, least: number, most: number): number {
  const value = row[column];
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`column ${column} is ${JSON.stringify(value)}, expected a whole number from ${least} to ${most}`);
}

export const isOne = (row: VectorRow, column: string): boolean => number(row, column, 0, 1) === 1;

/** Up to 16 hex digits; throws on anything else. */
function digits(value: VectorValue | undefined, what: string): string {
  if (typeof value === 'string' && /^[0-9a-f]{1,16}$/.test(value)) return value;
  throw new Error(`${what} is ${JSON.stringify(value)}, expected hex digits`);
}

/** Hex digits as a double, which rounds beyond 53 bits: exact for addresses and 32-bit registers. */
export const hexOf = (value: VectorValue | undefined, what: string): number => Number.parseInt(digits(value, what), 16);

/** A column of hex digits as a double. */
export const hex = (row: VectorRow, column: string): number => hexOf(row[column], `column ${column}`);

/** A column of hex digits as halves. */
export function halves(row: VectorRow, column: string): U64 {
  const padded = digits(row[column], `column ${column}`).padStart(16, '0');
  return { lo: Number.parseInt(padded.slice(8), 16), hi: Number.parseInt(padded.slice(0, 8), 16) };
}

/** A guest CPUID that has everything. */
export const fullCpuid: GuestCpuid = {
  maxPhyAddr: 46,
  gbPages: true,
  amd: false,
  pcid: true,
  invpcid: true,
  smep: true,
  smap: true,
  pku: true,
  la57: true,
};

const no64 = { lo: 0, hi: 0 } as const;

/** A host without two-dimensional paging: root_mmu judges the guest's tables. */
export const plainHost: Host = {
  vendor: 'vmx',
  tdp: 'none',
  tdpMmu: false,
  forcedTdpLevel: 0,
  maxTdpLevel: 0,
  adBits: true,
  physBits: 46,
  maxHugePageLevel: 3,
  gbPages: true,
  encryptionMask: no64,
  encryptionValue: no64,
  flushOnReuse: false,
  cpuid: fullCpuid,
};

/** CPUID columns; the rest is there. */
export const cpuidOf = (row: VectorRow): GuestCpuid => ({
  ...fullCpuid,
  maxPhyAddr: number(row, 'maxphyaddr', 32, 52),
  gbPages: isOne(row, 'guest_gbpages'),
  amd: isOne(row, 'guest_amd'),
});

/** The host of a row, as the runner has put it in place of its key. */
export function hostOf({ host }: VectorRow, cpuid: GuestCpuid): Host {
  if (typeof host !== 'object' || host === null || Array.isArray(host)) {
    throw new Error(`column host is ${JSON.stringify(host)}, expected an object`);
  }
  // VectorValue leaves an object of named values here.
  const columns = host as VectorRow;
  const { tdp } = columns;
  if (tdp !== 'none' && tdp !== 'npt' && tdp !== 'ept') {
    throw new Error(`column host.tdp is ${JSON.stringify(tdp)}, expected none, npt or ept`);
  }
  return {
    ...plainHost,
    vendor: tdp === 'npt' ? 'svm' : 'vmx',
    tdp,
    maxTdpLevel: number(columns, 'max_tdp_level', 0, 5),
    adBits: isOne(columns, 'ad_bits'),
    physBits: number(columns, 'shadow_phys_bits', 32, 52),
    gbPages: isOne(columns, 'host_gbpages'),
    encryptionMask: halves(columns, 'me_mask'),
    cpuid,
  };
}

/** A vCPU whose contexts were never set up. */
export function makeVcpu(host: Host, guestFrames = 0): kvm_vcpu {
  const memory = new PhysicalMemory();
  const vm = new Vm({ host, memory, guestFrames, pageLimit: 100000, reads: null });
  return new kvm_vcpu(new kvm(vm), new Registers(), inertCpu);
}

/** Control registers of a row. */
export function setRegisters(registers: Registers, row: VectorRow): void {
  const bits = (columns: readonly (readonly [string, number])[]): number =>
    columns.reduce((word, [column, bit]) => (isOne(row, column) ? word | bit : word), 0) >>> 0;
  registers.cr0 = bits([
    ['cr0_pg', CR0.PG],
    ['cr0_wp', CR0.WP],
  ]);
  registers.cr4 = bits([
    ['cr4_pse', CR4.PSE],
    ['cr4_pae', CR4.PAE],
    ['cr4_smep', CR4.SMEP],
    ['cr4_smap', CR4.SMAP],
    ['cr4_pke', CR4.PKE],
    ['cr4_la57', CR4.LA57],
  ]);
  registers.efer = bits([
    ['efer_lma', EFER.LMA],
    ['efer_nx', EFER.NXE],
  ]);
}

/** SMM and guest mode of a row, as vcpu.hflags. */
export const hflagsOf = (row: VectorRow): number =>
  (isOne(row, 'smm') ? HF_SMM_MASK : 0) | (isOne(row, 'guest_mode') ? HF_GUEST_MASK : 0);
