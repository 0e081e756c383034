// SPDX-License-Identifier: GPL-2.0-only
/**
 * v7.3.4 arch/x86/kvm/mmu/mmu.c: which roles an MMU has, and what follows from them.
 *
 * Registers make only cpu_role, the vCPU's own paging mode, which a walker of the guest's tables keeps; root_role, the
 * role of the tables KVM builds, is worked out from it, and struct kvm_mmu keeps that. Both are set up on their own.
 *
 * Left out: get_pdptr and inject_page_fault (each has one meaning per context here), the warnings about impossible
 * states, and the check that CPUID does not change after the first run (the machine sets it before).
 */
import { type Field, get, set } from '../../src/role/layout.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import {
  reset_ept_shadow_zero_bits_mask,
  reset_guest_paging_metadata,
  reset_rsvds_bits_mask_ept,
  reset_shadow_zero_bits_mask,
  reset_tdp_shadow_zero_bits_mask,
  update_permission_bitmask,
  update_spte_permission_bitmask,
} from './masks.ts';
import { kvm_mmu_new_pgd, kvm_mmu_reset_context } from './mmu_roots.ts';
import { cpu_role, is_cr0_pg, is_cr4_pae, kvm_mmu_extended_role, kvm_mmu_page_role, root_role } from './role.ts';
import { spte_masks_of } from './spte.ts';
import type { kvm_cpu_role, kvm_mmu, kvm_pagewalk, kvm_vcpu } from './types.ts';

export { __is_rsvd_bits_set, PFERR_IMPLICIT_ACCESS, permission_fault, update_pkru_bitmask } from './masks.ts';
export {
  is_cr0_pg,
  is_cr0_wp,
  is_cr4_la57,
  is_cr4_pae,
  is_cr4_pke,
  is_cr4_pse,
  is_cr4_smap,
  is_cr4_smep,
  is_efer_nx,
} from './role.ts';

const ACC_ALL = 15;
const ACC_USER_MASK = 4;
const PT32_ROOT_LEVEL = 2;
const PT32E_ROOT_LEVEL = 3;
const PT64_ROOT_4LEVEL = 4;
const PT64_ROOT_5LEVEL = 5;

const base = kvm_mmu_page_role.at;
const ext = kvm_mmu_extended_role.at;

/** The word with a flag set, or left alone. */
const flag = (word: number, field: Field, value: boolean): number => (value ? set(word, field, 1) : word);

/** v7.3.4 mmu.c struct kvm_mmu_role_regs: the registers a role is made of. */
export interface kvm_mmu_role_regs {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
}

const ____is_cr0_pg = ({ cr0 }: kvm_mmu_role_regs): boolean => (cr0 & CR0.PG) !== 0;
const ____is_cr0_wp = ({ cr0 }: kvm_mmu_role_regs): boolean => (cr0 & CR0.WP) !== 0;
const ____is_cr4_pse = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.PSE) !== 0;
const ____is_cr4_pae = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.PAE) !== 0;
const ____is_cr4_smep = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.SMEP) !== 0;
const ____is_cr4_smap = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.SMAP) !== 0;
const ____is_cr4_pke = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.PKE) !== 0;
const ____is_cr4_la57 = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.LA57) !== 0;
const ____is_efer_nx = ({ efer }: kvm_mmu_role_regs): boolean => (efer & EFER.NXE) !== 0;
const ____is_efer_lma = ({ efer }: kvm_mmu_role_regs): boolean => (efer & EFER.LMA) !== 0;

/** v7.3.4 mmu.h mmu_is_nested: L2 runs on nested paging. */
export const mmu_is_nested = (vcpu: kvm_vcpu): boolean => vcpu.mmu === vcpu.guest_mmu;

/** v7.3.4 mmu.c vcpu_to_role_regs: the registers as they are now, L2's while L2 runs. */
function vcpu_to_role_regs({ registers }: kvm_vcpu): kvm_mmu_role_regs {
  return { cr0: registers.cr0, cr4: registers.cr4, efer: registers.efer };
}

/** v7.3.4 mmu.c nonpaging_init_context */
function nonpaging_init_context(context: kvm_mmu): void {
  context.page_fault = 'nonpaging_page_fault';
  context.sync_spte = 'none';
}

/** v7.3.4 mmu.c paging64_init_context: PAE, 4 and 5 levels. */
function paging64_init_context(context: kvm_mmu): void {
  context.page_fault = 'paging64_page_fault';
  context.sync_spte = 'paging64_sync_spte';
}

/** v7.3.4 mmu.c paging32_init_context */
function paging32_init_context(context: kvm_mmu): void {
  context.page_fault = 'paging32_page_fault';
  context.sync_spte = 'paging32_sync_spte';
}

/**
 * v7.3.4 mmu.c kvm_calc_cpu_role: how the guest's tables are walked and judged. Long mode without PAE is a state that
 * no CPU has: KVM calls it a bug of its own, and goes on without long mode.
 */
export function kvm_calc_cpu_role(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_cpu_role {
  let word = set(0, base.access, ACC_ALL);
  word = flag(word, base.smm, vcpu.is_smm);
  word = flag(word, base.guest_mode, vcpu.is_guest_mode);
  let extended = set(0, ext.valid, 1);
  if (!____is_cr0_pg(regs)) return { base: set(word, base.direct, 1), ext: extended };
  const wp = ____is_cr0_wp(regs);
  const lma = ____is_efer_lma(regs) && ____is_cr4_pae(regs);
  word = flag(word, base.efer_nx, ____is_efer_nx(regs));
  word = flag(word, base.cr0_wp, wp);
  word = flag(word, base.cr4_smep, ____is_cr4_smep(regs));
  word = flag(word, base.smap_andnot_wp, ____is_cr4_smap(regs) && !wp);
  word = flag(word, base.has_4_byte_gpte, !____is_cr4_pae(regs));
  if (lma) word = set(word, base.level, ____is_cr4_la57(regs) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL);
  else word = set(word, base.level, ____is_cr4_pae(regs) ? PT32E_ROOT_LEVEL : PT32_ROOT_LEVEL);
  extended = flag(extended, ext.cr4_smap, ____is_cr4_smap(regs));
  extended = flag(extended, ext.cr4_pse, ____is_cr4_pse(regs));
  // Protection keys and 57-bit addresses exist in long mode only.
  extended = flag(extended, ext.cr4_pke, lma && ____is_cr4_pke(regs));
  extended = flag(extended, ext.cr4_la57, lma && ____is_cr4_la57(regs));
  extended = flag(extended, ext.efer_lma, lma);
  extended = flag(extended, ext.has_pferr_fetch, ____is_efer_nx(regs) || ____is_cr4_smep(regs));
  return { base: word, ext: extended };
}

/** v7.3.4 mmu.c kvm_mmu_get_tdp_level: five levels only where the guest's addresses need them. */
export function kvm_mmu_get_tdp_level(vcpu: kvm_vcpu): number {
  const { forcedTdpLevel, maxTdpLevel } = vcpu.kvm.vm.host;
  if (forcedTdpLevel) return forcedTdpLevel;
  return maxTdpLevel === 5 && vcpu.maxphyaddr <= 48 ? 4 : maxTdpLevel;
}

/** Notes that `by` looks at fields of a cpu_role that no MMU holds yet. */
function note_cpu_role(vcpu: kvm_vcpu, by: string, ...fields: string[]): void {
  for (const field of fields) vcpu.kvm.vm.reads?.note(by, 'cpu_role', field);
}

/**
 * v7.3.4 mmu.c kvm_calc_tdp_mmu_root_page_role
 * Nothing here depends on the guest's CR0, CR4 or EFER (since 2ba67677): a toggle of CR0.WP or EFER.NX asks for the
 * root that was in use. cr0_wp and efer_nx are set because hardware walks two-dimensional tables that way. cr4_smep is
 * a fact of the host: two-dimensional tables that tell the guest's user code from its kernel's. NPT does it by the user
 * bit, so pages the kernel may execute are none of the user's.
 */
export function kvm_calc_tdp_mmu_root_page_role(vcpu: kvm_vcpu, cpu_role: kvm_cpu_role): number {
  note_cpu_role(vcpu, 'kvm_calc_tdp_mmu_root_page_role', 'smm', 'guest_mode');
  let word = set(0, base.access, ACC_ALL);
  const { host } = vcpu.kvm.vm;
  const smep = host.tdpSmep === true;
  if (smep && spte_masks_of(host).shadow_user_mask !== 0) word = set(word, base.access, ACC_ALL & ~ACC_USER_MASK);
  word = flag(word, base.cr4_smep, smep);
  word = set(word, base.cr0_wp, 1);
  word = set(word, base.efer_nx, 1);
  word = set(word, base.smm, get(cpu_role.base, base.smm));
  word = set(word, base.guest_mode, get(cpu_role.base, base.guest_mode));
  word = flag(word, base.ad_disabled, !host.adBits);
  word = set(word, base.level, kvm_mmu_get_tdp_level(vcpu));
  return set(word, base.direct, 1);
}

/** Whether an MMU's role is this one: all 64 bits. */
const same = (a: kvm_cpu_role, b: kvm_cpu_role): boolean => a.base === b.base && a.ext === b.ext;

/** Replaces a stored role. */
function store(role: kvm_cpu_role, { base, ext }: kvm_cpu_role): void {
  role.base = base;
  role.ext = ext;
}

/** Notes the comparison of a stored cpu_role, which reads all of it. */
function note_cpu_role_words(w: kvm_pagewalk, by: string): void {
  cpu_role.base.word(w, by);
  cpu_role.ext.word(w, by);
}

/** v7.3.4 mmu.c init_kvm_tdp_mmu */
function init_kvm_tdp_mmu(vcpu: kvm_vcpu, new_cpu_role: kvm_cpu_role): void {
  const by = 'init_kvm_tdp_mmu';
  const context = vcpu.root_mmu;
  const new_root_role = kvm_calc_tdp_mmu_root_page_role(vcpu, new_cpu_role);
  if (new_root_role === root_role.word(context, by)) return;
  context.root_role = new_root_role;
  context.page_fault = 'kvm_tdp_page_fault';
  context.sync_spte = 'none';
  update_spte_permission_bitmask(context, true, vcpu.kvm.vm.host.tdp === 'ept');
  reset_tdp_shadow_zero_bits_mask(vcpu, context);
}

/** v7.3.4 mmu.c shadow_mmu_init_context */
function shadow_mmu_init_context(vcpu: kvm_vcpu, context: kvm_mmu, new_root_role: number): void {
  const by = 'shadow_mmu_init_context';
  if (new_root_role === root_role.word(context, by)) return;
  context.root_role = new_root_role;
  if (!is_cr0_pg(context.w, by)) nonpaging_init_context(context);
  else if (is_cr4_pae(context.w, by)) paging64_init_context(context);
  else paging32_init_context(context);
  update_spte_permission_bitmask(context, context === vcpu.guest_mmu, false);
  reset_shadow_zero_bits_mask(vcpu, context);
}

/**
 * v7.3.4 mmu.c init_kvm_shadow_mmu
 * root_role is the vCPU's role, but at least the three levels of PAE, and always with NX: KVM needs it for its own
 * entries, so the guest's EFER.NX does not tell tables apart.
 */
function init_kvm_shadow_mmu(vcpu: kvm_vcpu, new_cpu_role: kvm_cpu_role): void {
  note_cpu_role(vcpu, 'init_kvm_shadow_mmu', 'word', 'level');
  const level = Math.max(get(new_cpu_role.base, base.level), PT32E_ROOT_LEVEL);
  const new_root_role = set(set(new_cpu_role.base, base.level, level), base.efer_nx, 1);
  shadow_mmu_init_context(vcpu, vcpu.root_mmu, new_root_role);
}

/**
 * v7.3.4 mmu.c init_kvm_page_walk
 * A walker follows its own role alone: it is set up anew though the tables KVM builds stay what they are, and the other
 * way round.
 */
function init_kvm_page_walk(vcpu: kvm_vcpu, w: kvm_pagewalk, new_cpu_role: kvm_cpu_role): void {
  const by = 'init_kvm_page_walk';
  note_cpu_role_words(w, by);
  if (same(new_cpu_role, w.cpu_role)) return;
  store(w.cpu_role, new_cpu_role);
  w.get_guest_pgd = 'get_guest_cr3';
  if (!is_cr0_pg(w, by)) w.gva_to_gpa = 'nonpaging_gva_to_gpa';
  else w.gva_to_gpa = is_cr4_pae(w, by) ? 'paging64_gva_to_gpa' : 'paging32_gva_to_gpa';
  reset_guest_paging_metadata(vcpu, w);
}

/**
 * v7.3.4 mmu.c kvm_init_shadow_npt_mmu
 * Shadows L1's nested page tables. CR4 and EFER are L1's but for SMAP and PKE, which nested tables know nothing of;
 * paging and write protection are on whatever L1's CR0 says. SMEP is not L1's CR4.SMEP but the GMET bit of vmcb12.
 * Where hardware walks five levels and L1 has four, the root stands for no table of L1 (passthrough, since 84e5ffd0).
 */
export function kvm_init_shadow_npt_mmu(
  vcpu: kvm_vcpu,
  cr4: number,
  efer: number,
  nested_cr3: number,
  gmet: boolean,
): void {
  const regs = { cr0: CR0.PG | CR0.WP, cr4: cr4 & ~(CR4.PKE | CR4.SMAP), efer };
  const new_cpu_role = kvm_calc_cpu_role(vcpu, regs);
  // has_pferr_fetch stays what L1's registers made of it.
  new_cpu_role.base = set(new_cpu_role.base, base.cr4_smep, gmet ? 1 : 0);
  note_cpu_role(vcpu, 'kvm_init_shadow_npt_mmu', 'word', 'level', 'direct');
  const level = kvm_mmu_get_tdp_level(vcpu);
  const passthrough = level === PT64_ROOT_5LEVEL && get(new_cpu_role.base, base.level) === PT64_ROOT_4LEVEL;
  const new_root_role = flag(set(new_cpu_role.base, base.level, level), base.passthrough, passthrough);
  init_kvm_page_walk(vcpu, vcpu.ngpa_walk, new_cpu_role);
  shadow_mmu_init_context(vcpu, vcpu.guest_mmu, new_root_role);
  kvm_mmu_new_pgd(vcpu, nested_cr3);
}

/**
 * v7.3.4 mmu.c kvm_calc_shadow_ept_root_page_role: no register of the guest matters, nor SMM. `mbec`: L1's entries have
 * an execute right for user code and one for the kernel's.
 */
export function kvm_calc_shadow_ept_root_page_role(
  accessed_dirty: boolean,
  execonly: boolean,
  level: number,
  mbec: boolean,
): kvm_cpu_role {
  let word = set(0, base.level, level);
  word = flag(word, base.cr4_smep, mbec);
  word = flag(word, base.ad_disabled, !accessed_dirty);
  word = set(word, base.guest_mode, 1);
  word = set(word, base.access, ACC_ALL);
  return { base: word, ext: flag(set(0, ext.valid, 1), ext.execonly, execonly) };
}

/** Depth of an EPT structure, from bits 5:3 of the EPTP. SDM vol. 3C 25.6.11; vmx.h vmx_eptp_page_walk_level. */
const vmx_eptp_page_walk_level = (eptp: number): number => ((eptp & 0x38) >> 3) + 1;

/**
 * v7.3.4 mmu.c kvm_init_shadow_ept_mmu
 * Shadows L1's EPT. Only the walker's role decides whether anything changed, of the walker or of the tables.
 */
export function kvm_init_shadow_ept_mmu(
  vcpu: kvm_vcpu,
  execonly: boolean,
  huge_page_level: number,
  accessed_dirty: boolean,
  new_eptp: number,
  mbec: boolean,
): void {
  const context = vcpu.guest_mmu;
  const level = vmx_eptp_page_walk_level(new_eptp);
  const new_mode = kvm_calc_shadow_ept_root_page_role(accessed_dirty, execonly, level, mbec);
  const { ngpa_walk } = vcpu;
  note_cpu_role_words(ngpa_walk, 'kvm_init_shadow_ept_mmu');
  if (!same(new_mode, ngpa_walk.cpu_role)) {
    store(ngpa_walk.cpu_role, new_mode);
    // EPT: the tables KVM builds have the role of the vCPU's walk of L1's.
    context.root_role = new_mode.base;
    ngpa_walk.gva_to_gpa = 'ept_gva_to_gpa';
    context.page_fault = 'ept_page_fault';
    context.sync_spte = 'ept_sync_spte';
    update_permission_bitmask(ngpa_walk, true, true);
    ngpa_walk.fmt.pkru_mask = 0;
    reset_rsvds_bits_mask_ept(vcpu, ngpa_walk, execonly, huge_page_level);
    update_spte_permission_bitmask(context, true, true);
    reset_ept_shadow_zero_bits_mask(vcpu, context, execonly);
  }
  kvm_mmu_new_pgd(vcpu, new_eptp);
}

/** v7.3.4 mmu.c kvm_init_mmu: brings roles and what follows from them in line with the registers. */
export const kvm_init_mmu = probe(
  'kvm_init_mmu',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.init_mmu++;
    const new_cpu_role = kvm_calc_cpu_role(vcpu, vcpu_to_role_regs(vcpu));
    init_kvm_page_walk(vcpu, vcpu.gva_walk, new_cpu_role);
    // L2's tables are walked; the tables for L2 are those of L1's nested paging.
    if (mmu_is_nested(vcpu)) return;
    if (vcpu.kvm.vm.host.tdp !== 'none') init_kvm_tdp_mmu(vcpu, new_cpu_role);
    else init_kvm_shadow_mmu(vcpu, new_cpu_role);
  },
  { skipped: undefined },
);

/**
 * v7.3.4 mmu.c kvm_mmu_after_set_cpuid
 * CPUID goes into reserved bits but into no role, so every stored role is made to differ from any that can be computed.
 * The root role keeps its other bits, as freeing a root asks for `direct`.
 */
export const kvm_mmu_after_set_cpuid = probe(
  'kvm_mmu_after_set_cpuid',
  (vcpu: kvm_vcpu): void => {
    for (const context of [vcpu.root_mmu, vcpu.guest_mmu]) {
      context.root_role = set(context.root_role, base.invalid, 1);
      context.w.cpu_role.ext = set(context.w.cpu_role.ext, ext.valid, 0);
    }
    kvm_mmu_reset_context(vcpu);
  },
  { skipped: undefined },
);
