// SPDX-License-Identifier: GPL-2.0-only
/** Vector sections about roles and what follows from them. Reads columns, calls the port, writes columns. */
import type { VectorRow, VectorSurface, VectorValue } from '../../src/era.ts';
import { hex32, nonZero } from '../../src/role/layout.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { Host, U64 } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import {
  kvm_init_mmu,
  kvm_init_shadow_ept_mmu,
  kvm_init_shadow_npt_mmu,
  kvm_mmu_page_role_for,
  permission_fault,
} from './calc.ts';
import { PFERR_IMPLICIT_ACCESS, update_permission_bitmask } from './masks.ts';
import { kvm_mmu_extended_role, kvm_mmu_page_role } from './role.ts';
import { kvm, kvm_mmu, type kvm_mmu_role, kvm_vcpu, type rsvd_bits_validate } from './types.ts';

/** A column as a whole number in a range; throws when it is none. */
function number(row: VectorRow, column: string, least: number, most: number): number {
  const value = row[column];
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`column ${column} is ${JSON.stringify(value)}, expected a whole number from ${least} to ${most}`);
}

const isOne = (row: VectorRow, column: string): boolean => number(row, column, 0, 1) === 1;

/** A column of hex digits as a double, which rounds beyond 53 bits: exact for page addresses. */
function hex(row: VectorRow, column: string): number {
  const value = row[column];
  if (typeof value !== 'string' || !/^[0-9a-f]{1,16}$/.test(value)) {
    throw new Error(`column ${column} is ${JSON.stringify(value)}, expected hex digits`);
  }
  return Number.parseInt(value, 16);
}

/** A column of up to 16 hex digits as halves. */
function halves(row: VectorRow, column: string): U64 {
  const value = row[column];
  if (typeof value !== 'string' || !/^[0-9a-f]{1,16}$/.test(value)) {
    throw new Error(`column ${column} is ${JSON.stringify(value)}, expected hex digits`);
  }
  const digits = value.padStart(16, '0');
  return { lo: Number.parseInt(digits.slice(8), 16), hi: Number.parseInt(digits.slice(0, 8), 16) };
}

/** Host and guest CPUID of a row. */
function host_of(row: VectorRow): Host {
  const { host } = row;
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
    vendor: tdp === 'npt' ? 'svm' : 'vmx',
    tdp,
    tdpMmu: tdp !== 'none',
    forcedTdpLevel: number(columns, 'tdp_root_level', 0, 5),
    maxTdpLevel: number(columns, 'max_tdp_level', 0, 5),
    adBits: isOne(columns, 'ad_bits'),
    physBits: number(columns, 'host_phys_bits', 32, 52),
    maxHugePageLevel: number(columns, 'max_huge_level', 1, 3),
    gbPages: isOne(columns, 'host_gbpages'),
    encryptionMask: halves(columns, 'me_mask'),
    encryptionValue: halves(columns, 'me_value'),
    flushOnReuse: false,
    cpuid: {
      maxPhyAddr: number(row, 'maxphyaddr', 32, 52),
      gbPages: isOne(row, 'guest_gbpages'),
      amd: isOne(row, 'guest_amd'),
      pcid: true,
      invpcid: true,
      smep: true,
      smap: true,
      pku: true,
      la57: true,
    },
  };
}

/** Control registers of a row. */
function registers_of(row: VectorRow): Registers {
  const bits = (columns: readonly (readonly [string, number])[]): number =>
    columns.reduce((word, [column, bit]) => (isOne(row, column) ? word | bit : word), 0) >>> 0;
  const registers = new Registers();
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
  return registers;
}

/** Left in members that an initialisation may skip. No value that the port computes looks like these. */
const poison = { permissions: 0xa5, pkru_mask: -1, half: 0x5a5a5a5a } as const;

function poison_mmu(mmu: kvm_mmu): void {
  mmu.permissions.fill(poison.permissions);
  mmu.pkru_mask = poison.pkru_mask;
  for (const check of [mmu.guest_rsvd_check, mmu.shadow_zero_check]) {
    check.rsvd_bits_mask.fill(poison.half);
    check.bad_mt_xwr.fill(poison.half);
    check.format = null;
  }
}

/** A reserved-bit set in the order m0_l1 … m0_l5, m1_l1 … m1_l5, bad_mt_xwr; null for what was not written. */
function rsvd_set({ rsvd_bits_mask, bad_mt_xwr }: rsvd_bits_validate): VectorValue {
  const text = (lo: number, hi: number): string | null =>
    lo === poison.half ? null : hi === 0 ? lo.toString(16) : hi.toString(16) + hex32(lo);
  const set: (string | null)[] = [];
  for (let at = 0; at < 20; at += 2) set.push(text(rsvd_bits_mask[at]!, rsvd_bits_mask[at + 1]!));
  set.push(text(bad_mt_xwr[0]!, bad_mt_xwr[1]!));
  return set.every((value) => value === null) ? null : set;
}

const role_bits = ({ base, ext }: kvm_mmu_role): VectorRow => ({
  ...nonZero(kvm_mmu_page_role, base),
  ...nonZero(kvm_mmu_extended_role, ext, 'ext.'),
});

/** A vCPU with the registers and state of a row, and the MMU that its kind initialises, poisoned. */
function vcpu_of(row: VectorRow): { vcpu: kvm_vcpu; mmu: kvm_mmu } {
  const memory = new PhysicalMemory();
  const vm = new Vm({ host: host_of(row), memory, guestFrames: 0, pageLimit: 0, reads: null });
  const vcpu = new kvm_vcpu(new kvm(vm), registers_of(row), inertCpu);
  vcpu.is_smm = isOne(row, 'smm');
  vcpu.is_guest_mode = isOne(row, 'guest_mode');
  if (row.kind === 'nested_walk') vcpu.walk_mmu = vcpu.nested_mmu;
  if (row.kind === 'shadow_npt' || row.kind === 'shadow_ept') vcpu.mmu = vcpu.guest_mmu;
  const mmu = row.kind === 'nested_walk' ? vcpu.nested_mmu : vcpu.mmu;
  poison_mmu(mmu);
  return { vcpu, mmu };
}

const kinds = ['root_tdp', 'root_shadow', 'nested_walk', 'shadow_npt', 'shadow_ept'] as const;

function initialise(vcpu: kvm_vcpu, row: VectorRow): void {
  const { cr0, cr4, efer } = vcpu.registers;
  const shadow_paging = vcpu.kvm.vm.host.tdp === 'none';
  if (shadow_paging !== (row.kind === 'root_shadow')) {
    throw new Error(`column kind is ${JSON.stringify(row.kind)}, which a host with tdp ${vcpu.kvm.vm.host.tdp} lacks`);
  }
  switch (row.kind) {
    case 'root_tdp':
    case 'root_shadow':
    case 'nested_walk':
      kvm_init_mmu(vcpu);
      return;
    case 'shadow_npt':
      kvm_init_shadow_npt_mmu(vcpu, cr0, cr4, efer, 0);
      return;
    case 'shadow_ept': {
      const eptp = (number(row, 'eptp_level', 4, 5) - 1) << 3;
      const execonly = isOne(row, 'ept_execonly');
      kvm_init_shadow_ept_mmu(vcpu, execonly, number(row, 'ept_huge_level', 1, 3), isOne(row, 'ept_ad'), eptp);
      return;
    }
    default:
      throw new Error(`column kind is ${JSON.stringify(row.kind)}, expected one of ${kinds.join(', ')}`);
  }
}

/** Section `roles`: a fresh MMU, initialised once. */
function roles(row: VectorRow): VectorRow {
  const { vcpu, mmu } = vcpu_of(row);
  initialise(vcpu, row);
  const impossible = isOne(row, 'efer_lma') && !(isOne(row, 'cr0_pg') && isOne(row, 'cr4_pae'));
  const permissions_written = mmu.permissions.some((byte) => byte !== poison.permissions);
  return {
    arch_valid: impossible ? 0 : 1,
    cpu_role: null,
    root_role: hex32(mmu.mmu_role.base),
    root_ext: hex32(mmu.mmu_role.ext),
    root_level: mmu.root_level,
    shadow_root_level: mmu.shadow_root_level,
    direct: mmu.direct_map ? 1 : 0,
    ept_ad_field: mmu.ept_ad ? 1 : 0,
    page_fault: mmu.page_fault,
    gva_to_gpa: mmu.gva_to_gpa,
    sync_page: mmu.sync_page,
    invlpg: mmu.invlpg,
    permissions: permissions_written ? Buffer.from(mmu.permissions).toString('hex') : null,
    pkru_mask: mmu.pkru_mask === poison.pkru_mask ? null : hex32(mmu.pkru_mask),
    guest_rsvd: rsvd_set(mmu.guest_rsvd_check),
    shadow_zero: rsvd_set(mmu.shadow_zero_check),
    cpu_bits: null,
    root_bits: role_bits(mmu.mmu_role),
  };
}

/** Section `child-roles`: the role of a page asked for under a root role. */
function child_roles(row: VectorRow): VectorRow {
  const mmu = new kvm_mmu('root_mmu', null);
  mmu.mmu_role.base = hex(row, 'mmu_role_base');
  const gaddr = hex(row, 'gaddr');
  const role = kvm_mmu_page_role_for(
    mmu,
    number(row, 'level', 1, 5),
    isOne(row, 'direct'),
    number(row, 'access', 0, 7),
    gaddr,
  );
  return { role: hex32(role), bits: nonZero(kvm_mmu_page_role, role) };
}

/** Section `permission-fault`: one access judged by an MMU of these settings, in long mode. */
function permission_faults(row: VectorRow): VectorRow {
  const registers = registers_of({
    ...row,
    cr0_pg: 1,
    cr4_pse: 0,
    cr4_pae: 1,
    cr4_la57: 0,
    efer_lma: 1,
  });
  registers.rflagsAc = number(row, 'eflags_ac', 0, 1);
  registers.pkru = hex(row, 'pkru');
  const host = host_of({ host: permission_host, maxphyaddr: 46, guest_gbpages: 1, guest_amd: 0 });
  const vm = new Vm({ host, memory: new PhysicalMemory(), guestFrames: 0, pageLimit: 0, reads: null });
  const vcpu = new kvm_vcpu(new kvm(vm), registers, inertCpu);
  const mmu = vcpu.root_mmu;
  kvm_init_mmu(vcpu);
  if (isOne(row, 'ept')) {
    update_permission_bitmask(mmu, true);
    mmu.pkru_mask = 0;
  }
  const pte_access = number(row, 'pte_access', 0, 7);
  const access = number(row, 'access_pfec', 0, 31) + (isOne(row, 'implicit_access') ? PFERR_IMPLICIT_ACCESS : 0);
  return { errcode: permission_fault(vcpu, mmu, pte_access, number(row, 'pkey', 0, 15), access) };
}

/** A host without two-dimensional paging: its root_mmu judges the guest's tables. */
const permission_host: VectorRow = {
  tdp: 'none',
  tdp_root_level: 0,
  max_tdp_level: 0,
  ad_bits: 1,
  me_mask: '0',
  me_value: '0',
  host_phys_bits: 46,
  max_huge_level: 3,
  host_gbpages: 1,
};

/** The sections about roles. */
export const rolesRows: VectorSurface['rows'] = {
  roles,
  'child-roles': child_roles,
  'permission-fault': permission_faults,
};
