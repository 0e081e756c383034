// SPDX-License-Identifier: GPL-2.0-only
/** Vector sections about roles and what follows from them. Reads columns, calls the port, writes columns. */
import type { VectorRow, VectorSurface, VectorValue } from '../../src/era.ts';
import { hex32, nonZero } from '../../src/role/layout.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import {
  kvm_calc_shadow_ept_root_page_role,
  kvm_calc_shadow_npt_root_page_role,
  kvm_init_mmu,
  kvm_init_shadow_ept_mmu,
  kvm_init_shadow_npt_mmu,
  kvm_mmu_calc_root_page_role,
} from './calc.ts';
import { reset_shadow_zero_bits_mask, update_permission_bitmask } from './masks.ts';
import { role_of_page } from './mmu_pages.ts';
import { permission_fault } from './paging_tmpl.ts';
import { kvm_mmu_extended_role, kvm_mmu_page_role } from './role.ts';
import { page_role_for_level } from './tdp_mmu.ts';
import type { kvm_mmu, kvm_mmu_role, kvm_vcpu, rsvd_bits_validate } from './types.ts';
import {
  cpuidOf,
  fullCpuid,
  hex,
  hflagsOf,
  hostOf,
  isOne,
  makeVcpu,
  number,
  plainHost,
  setRegisters,
} from './vectors_setup.ts';

/** Left in members that an initialisation may skip. No value that the port computes looks like these. */
const poison = { permissions: 0xa5, last_nonleaf_level: -1, half: 0x5a5a5a5a } as const;

function poison_mmu(mmu: kvm_mmu): void {
  mmu.permissions.fill(poison.permissions);
  mmu.last_nonleaf_level = poison.last_nonleaf_level;
  for (const check of [mmu.guest_rsvd_check, mmu.shadow_zero_check]) {
    check.rsvd_bits_mask.fill(poison.half);
    check.bad_mt_xwr.fill(poison.half);
  }
}

const text64 = (lo: number, hi: number): string => (hi === 0 ? lo.toString(16) : hi.toString(16) + hex32(lo));

/** A reserved-bit set in the order m0_l1 … m0_l5, m1_l1 … m1_l5, bad_mt_xwr; null for what was not written. */
function rsvd_set({ rsvd_bits_mask, bad_mt_xwr }: rsvd_bits_validate): VectorValue {
  const text = (lo: number, hi: number): string | null => (lo === poison.half ? null : text64(lo, hi));
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
  const vcpu = makeVcpu(hostOf(row, cpuidOf(row)));
  setRegisters(vcpu.registers, row);
  vcpu.hflags = hflagsOf(row);
  if (row.kind === 'nested_walk') vcpu.walk_mmu = vcpu.nested_mmu;
  if (row.kind === 'shadow_npt' || row.kind === 'shadow_ept') vcpu.mmu = vcpu.guest_mmu;
  const mmu = row.kind === 'nested_walk' ? vcpu.nested_mmu : vcpu.mmu;
  poison_mmu(mmu);
  return { vcpu, mmu };
}

const kinds = ['root_tdp', 'root_shadow', 'nested_walk', 'shadow_npt', 'shadow_ept'] as const;

/** Initialises what the row's kind names. Returns the base role that is looked for among cached roots, where one is. */
function initialise(vcpu: kvm_vcpu, row: VectorRow): number | null {
  const shadow_paging = vcpu.kvm.vm.host.tdp === 'none';
  if (shadow_paging !== (row.kind === 'root_shadow')) {
    throw new Error(`column kind is ${JSON.stringify(row.kind)}, which a host with tdp ${vcpu.kvm.vm.host.tdp} lacks`);
  }
  switch (row.kind) {
    case 'root_tdp':
    case 'root_shadow':
      kvm_init_mmu(vcpu, true);
      return kvm_mmu_calc_root_page_role(vcpu);
    case 'nested_walk':
      kvm_init_mmu(vcpu, false);
      return null;
    case 'shadow_npt': {
      const cr4 = isOne(row, 'l1_cr4_pae') ? CR4.PAE : 0;
      const efer = isOne(row, 'l1_efer_lma') ? EFER.LMA : 0;
      kvm_init_shadow_npt_mmu(vcpu, { cr0: CR0.PG, cr4, efer }, 0);
      // As nested_svm_init_mmu_context does.
      reset_shadow_zero_bits_mask(vcpu, vcpu.guest_mmu);
      return kvm_calc_shadow_npt_root_page_role(vcpu).base;
    }
    case 'shadow_ept': {
      // The role takes SMM from root_mmu, which was initialised in SMM before.
      if (isOne(row, 'smm')) kvm_init_mmu(vcpu, false);
      const level = number(row, 'eptp_level', 4, 5);
      const [execonly, ad] = [isOne(row, 'ept_execonly'), isOne(row, 'ept_ad')];
      kvm_init_shadow_ept_mmu(vcpu, execonly, ad, (level - 1) << 3);
      return kvm_calc_shadow_ept_root_page_role(vcpu, ad, execonly, level).base;
    }
    default:
      throw new Error(`column kind is ${JSON.stringify(row.kind)}, expected one of ${kinds.join(', ')}`);
  }
}

/** Section `roles`: a fresh MMU, initialised once. */
function roles(row: VectorRow): VectorRow {
  const { vcpu, mmu } = vcpu_of(row);
  const lookup_role = initialise(vcpu, row);
  const impossible = isOne(row, 'efer_lma') && !(isOne(row, 'cr0_pg') && isOne(row, 'cr4_pae'));
  // The permission bytes and the protection-key mask are always written together.
  const written = mmu.permissions.some((byte) => byte !== poison.permissions);
  return {
    arch_valid: impossible ? 0 : 1,
    cpu_role: null,
    root_role: hex32(mmu.mmu_role.base),
    root_ext: hex32(mmu.mmu_role.ext),
    root_level: mmu.root_level,
    shadow_root_level: mmu.shadow_root_level,
    direct: mmu.direct_map ? 1 : 0,
    ept_ad_field: row.kind === 'shadow_ept' ? (mmu.ept_ad ? 1 : 0) : null,
    page_fault: mmu.page_fault,
    gva_to_gpa: mmu.gva_to_gpa,
    sync_page: mmu.sync_page,
    invlpg: mmu.invlpg,
    permissions: written ? Buffer.from(mmu.permissions).toString('hex') : null,
    pkru_mask: written ? hex32(mmu.pkru_mask) : null,
    guest_rsvd: rsvd_set(mmu.guest_rsvd_check),
    shadow_zero: rsvd_set(mmu.shadow_zero_check),
    cpu_bits: null,
    root_bits: role_bits(mmu.mmu_role),
    nx: mmu.nx ? 1 : 0,
    last_nonleaf_level: mmu.last_nonleaf_level === poison.last_nonleaf_level ? null : mmu.last_nonleaf_level,
    lookup_role: lookup_role === null ? null : hex32(lookup_role),
  };
}

const suffixed = (row: VectorRow, suffix: string): VectorRow =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name + suffix, value]));

/** Columns of one of two set-ups, without their suffix. */
const columnsOf = (row: VectorRow, suffix: string): VectorRow =>
  Object.fromEntries(
    Object.entries(row).flatMap(([name, value]) =>
      name.endsWith(suffix) ? [[name.slice(0, -suffix.length), value]] : [],
    ),
  );

/** Section `reinit`: one context set up twice; the second set-up may find nothing to do. */
function reinit(row: VectorRow): VectorRow {
  const cpuid = { ...fullCpuid };
  const vcpu = makeVcpu(hostOf(row, cpuid));
  const answers = ['_0', '_1'].map((suffix) => {
    const given = columnsOf(row, suffix);
    Object.assign(cpuid, cpuidOf(given));
    setRegisters(vcpu.registers, given);
    vcpu.hflags = hflagsOf(given);
    const { mmu } = vcpu;
    const before = { ...mmu.mmu_role };
    kvm_init_mmu(vcpu, true);
    const { base, ext } = mmu.mmu_role;
    return suffixed(
      {
        reconfigured: base === before.base && ext === before.ext ? 0 : 1,
        mmu_role: hex32(ext) + hex32(base),
        root_level: mmu.root_level,
        shadow_root_level: mmu.shadow_root_level,
        direct: mmu.direct_map ? 1 : 0,
        nx: mmu.nx ? 1 : 0,
        last_nonleaf_level: mmu.last_nonleaf_level,
        permissions: Buffer.from(mmu.permissions).toString('hex'),
        pkru_mask: hex32(mmu.pkru_mask),
        guest_rsvd_m0_l1: first_mask(mmu.guest_rsvd_check),
        shadow_zero_m0_l1: first_mask(mmu.shadow_zero_check),
      },
      suffix,
    );
  });
  return Object.assign({}, ...answers);
}

const first_mask = ({ rsvd_bits_mask }: rsvd_bits_validate): string =>
  hex32(rsvd_bits_mask[1]!) + hex32(rsvd_bits_mask[0]!);

/** Section `child-roles`: the role of a page asked for under a context's role, in the hash and in the TDP MMU. */
function child_roles(row: VectorRow): VectorRow {
  const vcpu = makeVcpu(plainHost);
  const { mmu } = vcpu;
  mmu.mmu_role.base = hex(row, 'mmu_role_base');
  mmu.root_level = number(row, 'root_level', 0, 5);
  mmu.direct_map = isOne(row, 'direct_map');
  const level = number(row, 'level', 1, 5);
  const direct = isOne(row, 'direct');
  const role = role_of_page(mmu, hex(row, 'gaddr'), level, direct, number(row, 'access', 0, 7));
  return {
    role: hex32(role),
    tdp_mmu_role: mmu.direct_map && direct ? hex32(page_role_for_level(vcpu, level)) : null,
    bits: nonZero(kvm_mmu_page_role, role),
  };
}

/** Section `permission-fault`: one access judged by an MMU of these settings, in long mode. */
function permission_faults(row: VectorRow): VectorRow {
  const vcpu = makeVcpu(plainHost);
  const { registers, root_mmu: mmu } = vcpu;
  setRegisters(registers, { ...row, cr0_pg: 1, cr4_pse: 0, cr4_pae: 1, cr4_la57: 0, efer_lma: 1 });
  registers.rflagsAc = number(row, 'eflags_ac', 0, 1);
  registers.pkru = hex(row, 'pkru');
  registers.cpl = number(row, 'cpl', 0, 3);
  kvm_init_mmu(vcpu, true);
  if (isOne(row, 'ept')) {
    update_permission_bitmask(vcpu, mmu, true);
    mmu.pkru_mask = 0;
  }
  const access = number(row, 'access_pfec', 0, 31);
  return { errcode: permission_fault(vcpu, mmu, number(row, 'pte_access', 0, 7), number(row, 'pkey', 0, 15), access) };
}

/** The sections about roles. */
export const rolesRows: VectorSurface['rows'] = {
  roles,
  reinit,
  'child-roles': child_roles,
  'permission-fault': permission_faults,
};
