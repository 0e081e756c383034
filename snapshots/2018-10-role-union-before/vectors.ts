// SPDX-License-Identifier: GPL-2.0-only
/** The vector sections of this port: columns in, the port's own functions, columns out. */
import type { VectorRow, VectorSurface } from '../../src/era.ts';
import { encode, hex32 } from '../../src/role/layout.ts';
import type { Host } from '../../src/sim/host.ts';
import {
  kvm_calc_shadow_ept_root_page_role,
  kvm_init_mmu,
  kvm_init_shadow_ept_mmu,
  kvm_init_shadow_mmu,
  kvm_mmu_calc_root_page_role,
} from './calc.ts';
import {
  reset_tdp_shadow_zero_bits_mask,
  update_last_nonleaf_level,
  update_permission_bitmask,
  update_pkru_bitmask,
} from './masks.ts';
import { kvm_mmu_get_page } from './mmu_pages.ts';
import { kvm_mmu_load } from './mmu_roots.ts';
import { detect_write_misaligned, get_written_sptes } from './mmu_write.ts';
import { nested_svm_init_mmu_context } from './nested_svm.ts';
import { is_last_gpte, permission_fault } from './paging_tmpl.ts';
import { kvm_mmu_page_role } from './role.ts';
import { INVALID_PAGE, type kvm_mmu, type kvm_vcpu } from './types.ts';
import { event } from './vectors_events.ts';
import {
  archValid,
  eptHost,
  halves,
  hex,
  hexBytes,
  makeVcpu,
  modeColumns,
  nptHost,
  num,
  plainHost,
  roleColumns,
  rsvdColumns,
  setRegisters,
} from './vectors_setup.ts';
import { trace } from './vectors_trace.ts';

/** Handler names without what they have in common. */
const family = (name: string): string => name.replace(/_(page_fault|gva_to_gpa|sync_page)/, '');

/** Host of rows with `tdp`, and where they have them `tdp_level` and `ad_bits`. */
const hostOf = (row: VectorRow): Host =>
  row.tdp === 1 ? eptHost(row.tdp_level === 5 ? 5 : 4, row.ad_bits !== 0) : plainHost;

/** Members of a context that several sections show. */
const context = (mmu: kvm_mmu): VectorRow => ({
  shadow_root_level: mmu.shadow_root_level,
  direct_map: mmu.direct_map ? 1 : 0,
  nx: mmu.nx ? 1 : 0,
  last_nonleaf_level: mmu.last_nonleaf_level,
  permissions: hexBytes(mmu.permissions),
  pkru_mask: hex32(mmu.pkru_mask),
  gva_to_gpa: family(mmu.gva_to_gpa),
});

/** A context without any earlier set-up behind it. */
function fresh(host: Host, row: VectorRow): kvm_vcpu {
  const vcpu = makeVcpu(host);
  for (const mmu of [vcpu.root_mmu, vcpu.guest_mmu, vcpu.nested_mmu]) mmu.permissions.fill(0);
  vcpu.root_mmu.shadow_zero_check.rsvd_bits_mask.fill(0);
  vcpu.root_mmu.shadow_zero_check.bad_mt_xwr.fill(0);
  setRegisters(vcpu, row);
  return vcpu;
}

function init(row: VectorRow): VectorRow {
  const vcpu = fresh(hostOf(row), row);
  kvm_init_mmu(vcpu, true);
  const { mmu } = vcpu;
  return {
    arch_valid: archValid(row),
    ...roleColumns('root_role', 'root', kvm_mmu_calc_root_page_role(vcpu)),
    ...roleColumns('base_role', 'base', mmu.base_role),
    // The second column of this name: levels of the guest's tables, beside the level field of the root's role.
    'root_level#2': mmu.root_level,
    ...context(mmu),
    page_fault: family(mmu.page_fault),
    sync_page: family(mmu.sync_page),
  };
}

function nested_mmu(row: VectorRow): VectorRow {
  const vcpu = fresh(nptHost, row);
  vcpu.mmu = vcpu.guest_mmu;
  vcpu.walk_mmu = vcpu.nested_mmu;
  kvm_init_mmu(vcpu, false);
  const { nested_mmu: mmu } = vcpu;
  return {
    ...context(mmu),
    arch_valid: archValid(row),
    base_role: hex32(mmu.base_role),
    root_level: mmu.root_level,
    guest_mmu_root_level: vcpu.guest_mmu.root_level,
  };
}

function shadow_ept(row: VectorRow): VectorRow {
  const host = {
    ...(row.tdp === 1 ? eptHost(4, row.host_ad_bits === 1) : plainHost),
    physBits: num(row, 'host_phys_bits'),
    cpuid: { ...plainHost.cpuid, maxPhyAddr: num(row, 'maxphyaddr') },
  };
  const { l1_cr0_wp: cr0_wp, l1_efer_nx: efer_nx, l1_cr4_smep: cr4_smep } = row;
  const l1 = {
    cr0_pg: 1,
    cr4_pae: 1,
    efer_lma: 1,
    smm: row.smm!,
    cr0_wp: cr0_wp!,
    efer_nx: efer_nx!,
    cr4_smep: cr4_smep!,
  };
  const vcpu = fresh(host, l1);
  kvm_init_mmu(vcpu, true);
  const l1_base_role = hex32(vcpu.root_mmu.base_role);
  vcpu.mmu = vcpu.guest_mmu;
  const accessed_dirty = row.accessed_dirty === 1;
  const root_role = kvm_calc_shadow_ept_root_page_role(vcpu, accessed_dirty);
  kvm_init_shadow_ept_mmu(vcpu, row.execonly === 1, accessed_dirty, 0x10000);
  const { mmu } = vcpu;
  return {
    ...context(mmu),
    arch_valid: row.tdp === 1 ? 1 : 0,
    l1_base_role,
    ...roleColumns('root_role', 'root', root_role),
    base_role: hex32(mmu.base_role),
    'root_level#2': mmu.root_level,
    ept_ad: mmu.ept_ad ? 1 : 0,
    ...rsvdColumns('guest_rsvd', mmu.guest_rsvd_check),
    ...rsvdColumns('shadow_zero', mmu.shadow_zero_check),
  };
}

function svm_npt(row: VectorRow): VectorRow {
  const before = fresh(nptHost, row);
  before.mmu = before.guest_mmu;
  kvm_init_shadow_mmu(before);
  const vcpu = fresh(nptHost, row);
  nested_svm_init_mmu_context(vcpu);
  const { mmu } = vcpu;
  return {
    ...context(mmu),
    arch_valid: archValid(row),
    ...roleColumns('base_role', 'base', mmu.base_role),
    root_level: mmu.root_level,
    shadow_root_level_before: before.mmu.shadow_root_level,
    ...rsvdColumns('shadow_zero', mmu.shadow_zero_check),
  };
}

function guest_rsvd(row: VectorRow): VectorRow {
  const { gbpages, amd } = row;
  const cpuid = {
    ...plainHost.cpuid,
    maxPhyAddr: num(row, 'maxphyaddr'),
    gbPages: gbpages === 1,
    amd: amd === 1,
  };
  const vcpu = fresh({ ...plainHost, cpuid }, modeColumns(row));
  kvm_init_mmu(vcpu, true);
  return { nx: vcpu.mmu.nx ? 1 : 0, ...rsvdColumns('guest_rsvd', vcpu.mmu.guest_rsvd_check) };
}

function shadow_zero(row: VectorRow): VectorRow {
  const host = {
    ...plainHost,
    physBits: num(row, 'host_phys_bits'),
    encryptionMask: halves(String(row.me_mask)),
    cpuid: { ...plainHost.cpuid, gbPages: row.gbpages === 1 },
  };
  const vcpu = fresh(host, modeColumns(row));
  kvm_init_mmu(vcpu, true);
  const { mmu } = vcpu;
  return { shadow_root_level: mmu.shadow_root_level, ...rsvdColumns('shadow_zero', mmu.shadow_zero_check) };
}

function tdp_zero(row: VectorRow): VectorRow {
  const host = {
    ...(row.amd === 1 ? nptHost : eptHost(4, true)),
    physBits: num(row, 'host_phys_bits'),
    gbPages: row.host_gbpages === 1,
    encryptionMask: halves(String(row.me_mask)),
  };
  const vcpu = fresh(host, {});
  const { mmu } = vcpu;
  mmu.shadow_root_level = num(row, 'tdp_level');
  reset_tdp_shadow_zero_bits_mask(vcpu, mmu);
  return rsvdColumns('shadow_zero', mmu.shadow_zero_check);
}

/** W, U and F of an error code from the three bits that number it. */
const pfecOf = (f: number): number => (f & 1 ? 2 : 0) | (f & 2 ? 4 : 0) | (f & 4 ? 16 : 0);

function permission_fault_row(row: VectorRow): VectorRow {
  const ept = row.ept === 1;
  const vcpu = fresh(ept ? eptHost(4, true) : plainHost, { ...row, cr0_pg: 1, cr4_pae: 1 });
  const { mmu, registers } = vcpu;
  mmu.nx = ept || row.efer_nx === 1;
  update_permission_bitmask(vcpu, mmu, ept);
  update_pkru_bitmask(vcpu, mmu, ept);
  registers.cpl = num(row, 'cpl');
  registers.rflagsAc = num(row, 'eflags_ac');
  registers.pkru = num(row, 'pkru_key1') << 2;
  const results: number[] = [];
  for (let f = 0; f < 8; f++) {
    for (let access = 0; access < 8; access++) results.push(permission_fault(vcpu, mmu, access, 1, pfecOf(f)));
  }
  return { results: hexBytes(results) };
}

function last_gpte(row: VectorRow): VectorRow {
  const vcpu = fresh(plainHost, row);
  const { mmu } = vcpu;
  mmu.root_level = num(row, 'root_level');
  update_last_nonleaf_level(vcpu, mmu);
  const is_last = is_last_gpte(mmu, num(row, 'level'), num(row, 'ps') << 7) ? 1 : 0;
  return { last_nonleaf_level: mmu.last_nonleaf_level, is_last };
}

function pkru_sequence(row: VectorRow): VectorRow {
  const vcpu = fresh(plainHost, {});
  const masks = [0, 1, 2].map((i) => {
    const state = num(row, `state_${i}`);
    setRegisters(vcpu, { cr0_pg: 1, cr4_pae: 1, cr0_wp: state & 1, cr4_pke: (state >> 1) & 1, efer_lma: state >> 2 });
    kvm_init_mmu(vcpu, true);
    return [`pkru_mask_${i}`, hex32(vcpu.mmu.pkru_mask)];
  });
  return Object.fromEntries(masks);
}

function child(row: VectorRow): VectorRow {
  const vcpu = fresh(hostOf(row), modeColumns(row));
  kvm_init_mmu(vcpu, true);
  const { mmu, kvm } = vcpu;
  const sp = kvm_mmu_get_page(vcpu, 0, hex(row, 'gaddr'), num(row, 'level'), row.direct === 1, num(row, 'access'));
  return {
    base_role: hex32(mmu.base_role),
    root_level: mmu.root_level,
    ...roleColumns('role', 'role', kvm.vm.pages.role[sp]!),
  };
}

/** A context with CR3 (or nested CR3) and PDPTEs in memory, and what a load makes of it. */
function roots(row: VectorRow): VectorRow {
  const nested = row.nested_npt === 1;
  const host = nested ? nptHost : row.tdp === 1 ? eptHost(num(row, 'tdp_level'), true) : plainHost;
  const vcpu = fresh(host, { ...modeColumns(row), cr0_wp: 1 });
  const { registers, kvm } = vcpu;
  registers.cr3 = hex(row, 'cr3');
  const present = num(row, 'pdpte_present');
  for (let i = 0; i < 4; i++) {
    vcpu.root_mmu.pdptrs[2 * i] = (present >> i) & 1 ? (0x100 + i) * 4096 + 1 : 0;
  }
  vcpu.pdptr_avail = true;
  kvm_init_mmu(vcpu, true);
  if (nested) {
    vcpu.nested.pointer = registers.cr3;
    nested_svm_init_mmu_context(vcpu);
  }
  const ret = kvm_mmu_load(vcpu) ? 1 : 0;
  const { mmu } = vcpu;
  const { pages } = kvm.vm;
  const entry = (frame: number) => {
    const sp = frame > 0 ? pages.idOfFrame(frame) : 0;
    return sp === 0 ? null : [pages.gfn[sp]!, hex32(pages.role[sp]!)];
  };
  const single = mmu.root_hpa === INVALID_PAGE || !pages.isSpecial(pages.idOfFrame(mmu.root_hpa));
  return {
    ret,
    root_level: mmu.root_level,
    shadow_root_level: mmu.shadow_root_level,
    direct_map: mmu.direct_map ? 1 : 0,
    roots: single ? [entry(mmu.root_hpa)] : mmu.pae_root!.map(entry),
  };
}

/** A lone page with a role made of some columns. */
function pageOf(values: Readonly<Record<string, number>>): { vcpu: kvm_vcpu; sp: number } {
  const vcpu = makeVcpu(plainHost);
  return { vcpu, sp: vcpu.kvm.vm.pages.create(0, encode(kvm_mmu_page_role, values)) };
}

function misaligned(row: VectorRow): VectorRow {
  const { vcpu, sp } = pageOf({ level: 1, cr4_pae: num(row, 'cr4_pae') });
  return { misaligned: detect_write_misaligned(vcpu.kvm, sp, num(row, 'offset'), num(row, 'bytes')) ? 1 : 0 };
}

function written_sptes(row: VectorRow): VectorRow {
  const [cr4_pae, level, quadrant] = [num(row, 'cr4_pae'), num(row, 'level'), num(row, 'quadrant')];
  const { vcpu, sp } = pageOf({ cr4_pae, level, quadrant });
  const { index, nspte } = get_written_sptes(vcpu.kvm, sp, num(row, 'offset'));
  return { first_index: index, count: nspte };
}

export const vectors: VectorSurface = {
  rows: {
    init,
    nested_mmu,
    shadow_ept,
    svm_npt,
    guest_rsvd,
    shadow_zero,
    tdp_zero,
    permission_fault: permission_fault_row,
    last_gpte,
    pkru_sequence,
    child,
    roots,
    misaligned,
    written_sptes,
    events: event,
  },
  sessions: { traces: trace },
};
