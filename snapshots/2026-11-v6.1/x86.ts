// SPDX-License-Identifier: GPL-2.0-only
/**
 * v6.1.192 arch/x86/kvm/x86.c as far as it reaches the MMU: register writes, PCID invalidation, requests, guest
 * entry.
 *
 * Left out: async page faults (their queue is cleared when CR0.PG changes), timers, interrupts and every other
 * request, CS.L (a guest that clears CR0.PG is taken to be in compatibility mode), protected guests, the quirk for CD
 * and NW.
 */
import type { WriteResult } from '../../src/era.ts';
import { powerOf2 } from '../../src/sim/address-parts.ts';
import { bitNames } from '../../src/sim/bit-names.ts';
import { probe } from '../../src/sim/log.ts';
import { PFEC } from '../../src/sim/paging-bits.ts';
import { CR0, CR3_PCID, CR4, EFER } from '../../src/sim/registers.ts';
import { kvm_init_mmu } from './calc.ts';
import { kvm_mmu_invpcid_gva, kvm_zap_gfn_range } from './mmu_fault.ts';
import {
  KVM_MMU_NUM_PREV_ROOTS,
  KVM_MMU_ROOT_CURRENT,
  KVM_MMU_ROOT_PREVIOUS,
  kvm_mmu_free_obsolete_roots,
  kvm_mmu_free_roots,
  kvm_mmu_load_pgd,
  kvm_mmu_new_pgd,
  kvm_mmu_reload,
  kvm_mmu_reset_context,
  kvm_mmu_sync_prev_roots,
  kvm_mmu_sync_roots,
  kvm_mmu_unload,
  kvm_x86_flush_tlb_current,
} from './mmu_roots.ts';
import { kvm_translate_gpa } from './paging_tmpl.ts';
import { KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';

/** v6.1.192 mmu.h: bits whose change resets the context. */
const KVM_MMU_CR0_ROLE_BITS = CR0.PG | CR0.WP;
const KVM_MMU_CR4_ROLE_BITS = CR4.PSE | CR4.PAE | CR4.LA57 | CR4.SMEP | CR4.SMAP | CR4.PKE;
/** LME is in no role, but userspace may flip it under paging. */
const KVM_MMU_EFER_ROLE_BITS = EFER.LME | EFER.NXE;

/** v6.1.192 x86.c: changes that make the CPU load PDPTEs anew. SDM vol. 3A 4.4.1. */
const X86_CR0_PDPTR_BITS = CR0.PG | CR0.CD | CR0.NW;
const X86_CR4_PDPTR_BITS = CR4.PGE | CR4.PSE | CR4.PAE | CR4.SMEP;

/** CR0 bits that exist: PE MP EM TS ET NE WP AM NW CD PG; others are ignored. ET is always one. SDM vol. 3A 2.5. */
const CR0_DEFINED = 0xe005003f;
const CR0_ET = 1 << 4;
/**
 * CR4 bits every virtual CPU has here: VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP VMXE FSGSBASE
 * OSXSAVE.
 */
const CR4_ALWAYS = 0x00052fff;
/** EFER bits that exist: SCE LME LMA NXE SVME LMSLE FFXSR. APM vol. 2 3.1.7. */
const EFER_DEFINED = 0x00007d01;

const is_paging = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr0 & CR0.PG) !== 0;
const is_pae = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr4 & CR4.PAE) !== 0;
const is_long_mode = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.LMA) !== 0;
const tdp_enabled = ({ kvm }: kvm_vcpu): boolean => kvm.vm.host.tdp !== 'none';
/** v6.1.192 x86.h is_pae_paging */
export const is_pae_paging = (vcpu: kvm_vcpu): boolean => !is_long_mode(vcpu) && is_pae(vcpu) && is_paging(vcpu);

// --- requests -------------------------------------------------------------------------------------------------------

const request_names: readonly (readonly [request: number, name: string])[] = [
  [KVM_REQ.MMU_FREE_OBSOLETE_ROOTS, 'mmu_free_obsolete_roots'],
  [KVM_REQ.MMU_SYNC, 'mmu_sync'],
  [KVM_REQ.LOAD_MMU_PGD, 'load_mmu_pgd'],
  [KVM_REQ.TLB_FLUSH, 'tlb_flush'],
  [KVM_REQ.TLB_FLUSH_CURRENT, 'tlb_flush_current'],
  [KVM_REQ.TLB_FLUSH_GUEST, 'tlb_flush_guest'],
  [KVM_REQ.TRIPLE_FAULT, 'triple_fault'],
];
const made = new Map(request_names.map(([request, name]) => [request, `req_${name}`]));
const served = new Map(request_names.map(([request, name]) => [request, `do_${name}`]));

/** v6.1.192 kvm_host.h kvm_make_request */
export function kvm_make_request(req: number, vcpu: kvm_vcpu): void {
  if (vcpu.log.keep) vcpu.log.note(made.get(req)!);
  vcpu.requests |= req;
}

/** v6.1.192 kvm_main.c kvm_make_all_cpus_request */
export function kvm_make_all_cpus_request(kvm: kvm, req: number): void {
  for (const vcpu of kvm.vcpus) kvm_make_request(req, vcpu);
}

/** v6.1.192 kvm_host.h kvm_check_request: true once for each time it was made. */
function kvm_check_request(req: number, vcpu: kvm_vcpu): boolean {
  if ((vcpu.requests & req) === 0) return false;
  vcpu.requests &= ~req;
  if (vcpu.log.keep) vcpu.log.note(served.get(req)!);
  return true;
}

/** Names of the pending requests, in the order of their numbers. For records. */
export const pending_requests = (vcpu: kvm_vcpu): string[] =>
  request_names.filter(([request]) => (vcpu.requests & request) !== 0).map(([, name]) => name);

/** For the log: `by` decides on roots because of `bits`. */
export function because(vcpu: kvm_vcpu, by: string, bits: string): void {
  vcpu.reason = { by, bits };
  vcpu.log.because(by, bits);
}

/** Names of bits, for the log. */
const cr0_names = bitNames('CR0', CR0);
const cr4_names = bitNames('CR4', CR4);
const efer_names = bitNames('EFER', { LME: EFER.LME, NX: EFER.NXE });

// --- register writes ------------------------------------------------------------------------------------------------

/** v6.1.192 cpuid.h kvm_vcpu_is_illegal_gpa */
const is_illegal_gpa = (vcpu: kvm_vcpu, gpa: number): boolean => gpa >= powerOf2(vcpu.maxphyaddr);

/**
 * v6.1.192 x86.c load_pdptrs. False when the table cannot be read or an entry that is present sets a reserved
 * bit. Without TDP a change frees the current root, as it was made of the old PDPTEs.
 */
export const load_pdptrs = probe(
  'load_pdptrs',
  (vcpu: kvm_vcpu, cr3: number): boolean => {
    const mmu = vcpu.walk_mmu;
    const { memory, memslots } = vcpu.kvm.vm;
    const table_gpa = cr3 - (cr3 & 0x1f);
    const real_gpa = kvm_translate_gpa(vcpu, mmu, table_gpa, PFEC.U | PFEC.W);
    if (real_gpa < 0 || !memslots.isVisible(Math.floor(real_gpa / 4096))) return false;
    const pdpte = Int32Array.from({ length: 8 }, (_, word) => memory.read32(real_gpa + 4 * word));
    const reserved_hi = vcpu.maxphyaddr >= 64 ? 0 : -1 << (vcpu.maxphyaddr - 32);
    for (let i = 0; i < 4; i++) {
      const lo = pdpte[2 * i]!;
      if ((lo & 1) !== 0 && ((lo & 0x1e6) !== 0 || (pdpte[2 * i + 1]! & reserved_hi) !== 0)) return false;
    }
    if (!tdp_enabled(vcpu) && pdpte.some((word, i) => word !== mmu.pdptrs[i])) {
      because(vcpu, 'load_pdptrs', 'PDPTEs');
      kvm_mmu_free_roots(vcpu.kvm, mmu, KVM_MMU_ROOT_CURRENT);
    }
    mmu.pdptrs.set(pdpte);
    vcpu.registers.pdptes.set(pdpte);
    kvm_make_request(KVM_REQ.LOAD_MMU_PGD, vcpu);
    return true;
  },
  { skipped: true },
);

/**
 * v6.1.192 kvm_cache_regs.h kvm_pdptr_read: PDPTE `index` of the guest's tables. Under EPT hardware has them
 * (ept_save_pdptrs).
 */
export function kvm_pdptr_read(vcpu: kvm_vcpu, index: number): { readonly lo: number; readonly hi: number } {
  const pdptrs = vcpu.kvm.vm.host.tdp === 'ept' ? vcpu.registers.pdptes : vcpu.walk_mmu.pdptrs;
  return { lo: pdptrs[2 * index]!, hi: pdptrs[2 * index + 1]! };
}

/** Vendor set_cr0 as far as the MMU goes: EFER.LMA follows CR0.PG while EFER.LME is set. */
export function kvm_x86_set_cr0(vcpu: kvm_vcpu, cr0: number): void {
  const { registers } = vcpu;
  if ((registers.efer & EFER.LME) !== 0) {
    if (!is_paging(vcpu) && (cr0 & CR0.PG) !== 0) registers.efer |= EFER.LMA;
    if (is_paging(vcpu) && (cr0 & CR0.PG) === 0) registers.efer &= ~EFER.LMA;
  }
  registers.cr0 = cr0 >>> 0;
}

/**
 * v6.1.192 x86.c kvm_post_set_cr0. New: with TDP, a write that changes WP and nothing else keeps every root,
 * as WP is in no TDP root role any more; only how the guest's tables are judged is worked out anew. Clearing CR0.PG
 * flushes the guest's TLB, whatever becomes of the roots.
 */
function kvm_post_set_cr0(vcpu: kvm_vcpu, old_cr0: number, cr0: number): void {
  const changed = cr0 ^ old_cr0;
  if (tdp_enabled(vcpu) && changed === CR0.WP) {
    kvm_init_mmu(vcpu);
    return;
  }
  if ((changed & CR0.PG) !== 0 && (cr0 & CR0.PG) === 0) kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
  if ((changed & KVM_MMU_CR0_ROLE_BITS) !== 0) {
    because(vcpu, 'kvm_post_set_cr0', cr0_names(changed & KVM_MMU_CR0_ROLE_BITS));
    kvm_mmu_reset_context(vcpu);
  }
  if ((changed & CR0.CD) !== 0 && vcpu.kvm.noncoherent_dma) kvm_zap_gfn_range(vcpu);
}

/** v6.1.192 x86.c kvm_set_cr0 */
export function kvm_set_cr0(vcpu: kvm_vcpu, value: number): WriteResult {
  vcpu.log.called('kvm_set_cr0');
  const { registers } = vcpu;
  const old_cr0 = registers.cr0;
  const cr0 = ((value & CR0_DEFINED) | CR0_ET) >>> 0;
  if ((cr0 & CR0.NW) !== 0 && (cr0 & CR0.CD) === 0) return 'gp';
  if ((cr0 & CR0.PG) !== 0 && (cr0 & CR0.PE) === 0) return 'gp';
  const long_mode_enabled = (registers.efer & EFER.LME) !== 0;
  if (long_mode_enabled && !is_paging(vcpu) && (cr0 & CR0.PG) !== 0 && !is_pae(vcpu)) return 'gp';
  if (
    !long_mode_enabled &&
    (cr0 & CR0.PG) !== 0 &&
    is_pae(vcpu) &&
    ((cr0 ^ old_cr0) & X86_CR0_PDPTR_BITS) !== 0 &&
    !load_pdptrs(vcpu, registers.cr3)
  )
    return 'gp';
  if ((cr0 & CR0.PG) === 0 && (registers.cr4 & CR4.PCIDE) !== 0) return 'gp';
  kvm_x86_set_cr0(vcpu, cr0);
  kvm_post_set_cr0(vcpu, old_cr0, cr0);
  return 'done';
}

/**
 * v6.1.192 x86.c kvm_post_set_cr4. Roles and flushes are separate. PCIDE 0 to 1 needs no flush, but a cached
 * root that is stale could be used again by a MOV CR3 without flush, so without TDP all roots go.
 */
function kvm_post_set_cr4(vcpu: kvm_vcpu, old_cr4: number, cr4: number): void {
  const changed = cr4 ^ old_cr4;
  const set = changed & cr4;
  const cleared = changed & old_cr4;
  if ((changed & KVM_MMU_CR4_ROLE_BITS) !== 0) {
    because(vcpu, 'kvm_post_set_cr4', cr4_names(changed & KVM_MMU_CR4_ROLE_BITS));
    kvm_mmu_reset_context(vcpu);
  }
  if (!tdp_enabled(vcpu) && (set & CR4.PCIDE) !== 0) {
    because(vcpu, 'kvm_post_set_cr4', 'CR4.PCIDE');
    kvm_mmu_unload(vcpu);
  }
  if ((changed & CR4.PGE) !== 0 || (cleared & CR4.PCIDE) !== 0) kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
  else if ((changed & CR4.PAE) !== 0 || (set & CR4.SMEP) !== 0) kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
}

/** v6.1.192 x86.c kvm_is_valid_cr4: bits the guest's CPUID does not offer are reserved. */
function kvm_is_valid_cr4({ kvm }: kvm_vcpu, cr4: number): boolean {
  const { cpuid } = kvm.vm.host;
  let allowed = CR4_ALWAYS;
  if (cpuid.pcid) allowed |= CR4.PCIDE;
  if (cpuid.smep) allowed |= CR4.SMEP;
  if (cpuid.smap) allowed |= CR4.SMAP;
  if (cpuid.pku) allowed |= CR4.PKE;
  if (cpuid.la57) allowed |= CR4.LA57;
  return (cr4 & ~allowed) === 0;
}

/** v6.1.192 x86.c kvm_set_cr4 */
export function kvm_set_cr4(vcpu: kvm_vcpu, cr4: number): WriteResult {
  vcpu.log.called('kvm_set_cr4');
  const { registers } = vcpu;
  const old_cr4 = registers.cr4;
  if (!kvm_is_valid_cr4(vcpu, cr4)) return 'gp';
  if (is_long_mode(vcpu)) {
    if ((cr4 & CR4.PAE) === 0 || ((cr4 ^ old_cr4) & CR4.LA57) !== 0) return 'gp';
  } else if (
    is_paging(vcpu) &&
    (cr4 & CR4.PAE) !== 0 &&
    ((cr4 ^ old_cr4) & X86_CR4_PDPTR_BITS) !== 0 &&
    !load_pdptrs(vcpu, registers.cr3)
  )
    return 'gp';
  if ((cr4 & CR4.PCIDE) !== 0 && (old_cr4 & CR4.PCIDE) === 0) {
    if ((registers.cr3 & CR3_PCID) !== 0 || !is_long_mode(vcpu)) return 'gp';
  }
  registers.cr4 = cr4 >>> 0;
  kvm_post_set_cr4(vcpu, old_cr4, cr4);
  return 'done';
}

/** v6.1.192 mmu.h kvm_get_pcid: 0 while CR4.PCIDE is clear. An unused cache entry has all bits set, PCID 4095. */
export const kvm_get_pcid = ({ registers }: kvm_vcpu, cr3: number): number =>
  (registers.cr4 & CR4.PCIDE) !== 0 ? cr3 & CR3_PCID : 0;

/** v6.1.192 x86.c kvm_invalidate_pcid */
function kvm_invalidate_pcid(vcpu: kvm_vcpu, pcid: number): void {
  if (tdp_enabled(vcpu)) {
    kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
    return;
  }
  if (kvm_get_pcid(vcpu, vcpu.registers.cr3) === pcid) {
    kvm_make_request(KVM_REQ.MMU_SYNC, vcpu);
    kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
  }
  if ((vcpu.registers.cr4 & CR4.PCIDE) === 0) return;
  let roots_to_free = 0;
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++)
    if (kvm_get_pcid(vcpu, vcpu.mmu.prev_roots[i]!.pgd) === pcid) roots_to_free |= KVM_MMU_ROOT_PREVIOUS(i);
  kvm_mmu_free_roots(vcpu.kvm, vcpu.mmu, roots_to_free);
}

/** v6.1.192 x86.c kvm_set_cr3. `noflush` is bit 63, which means so only while CR4.PCIDE is set. */
export function kvm_set_cr3(vcpu: kvm_vcpu, cr3: number, noflush: boolean): WriteResult {
  vcpu.log.called('kvm_set_cr3');
  const { registers } = vcpu;
  const pcid_enabled = (registers.cr4 & CR4.PCIDE) !== 0;
  const pcid = pcid_enabled ? cr3 & CR3_PCID : 0;
  if (noflush && !pcid_enabled) return 'gp';
  if (cr3 !== registers.cr3 || is_pae_paging(vcpu)) {
    if (is_illegal_gpa(vcpu, cr3)) return 'gp';
    if (is_pae_paging(vcpu) && !load_pdptrs(vcpu, cr3)) return 'gp';
    if (cr3 !== registers.cr3) {
      because(vcpu, 'kvm_set_cr3', 'CR3');
      kvm_mmu_new_pgd(vcpu, cr3);
    }
    registers.cr3 = cr3;
  }
  if (!noflush) kvm_invalidate_pcid(vcpu, pcid);
  return 'done';
}

/** Vendor set_efer: svm.c svm_set_efer, vmx.c vmx_set_efer. */
export function kvm_x86_set_efer(vcpu: kvm_vcpu, efer: number): void {
  vcpu.log.called(vcpu.kvm.vm.host.vendor === 'svm' ? 'svm_set_efer' : 'vmx_set_efer');
  vcpu.registers.efer = efer;
}

/** v6.1.192 x86.c set_efer */
export function set_efer(vcpu: kvm_vcpu, value: number, host_initiated: boolean): WriteResult {
  const { registers } = vcpu;
  const old_efer = registers.efer;
  if ((value & ~EFER_DEFINED) !== 0) return 'gp';
  if (!host_initiated && is_paging(vcpu) && ((value ^ old_efer) & EFER.LME) !== 0) return 'gp';
  kvm_x86_set_efer(vcpu, (value & ~EFER.LMA) | (old_efer & EFER.LMA));
  const changed = (registers.efer ^ old_efer) & KVM_MMU_EFER_ROLE_BITS;
  if (changed !== 0) {
    because(vcpu, 'set_efer', efer_names(changed));
    kvm_mmu_reset_context(vcpu);
  }
  return 'done';
}

/** v6.1.192 x86.c kvm_handle_invpcid. Types above 3 are refused by the vendor's exit handler. */
export function kvm_handle_invpcid(vcpu: kvm_vcpu, type: number, pcid: number, gva: number): WriteResult {
  const pcid_enabled = (vcpu.registers.cr4 & CR4.PCIDE) !== 0;
  if (type > 3 || pcid > CR3_PCID || (type < 2 && !pcid_enabled && pcid !== 0)) return kvm_inject_gp(vcpu);
  switch (type) {
    case 0:
      if (is_noncanonical_address(vcpu, gva)) return kvm_inject_gp(vcpu);
      kvm_mmu_invpcid_gva(vcpu, gva, pcid);
      return 'done';
    case 1:
      because(vcpu, 'kvm_handle_invpcid', 'INVPCID');
      kvm_invalidate_pcid(vcpu, pcid);
      return 'done';
    default:
      kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
      return 'done';
  }
}

function kvm_inject_gp(vcpu: kvm_vcpu): WriteResult {
  vcpu.log.note('inject_gp');
  return 'gp';
}

/** v6.1.192 x86.h is_noncanonical_address, for an address as an unsigned double: 48 or, with CR4.LA57, 57 bits. */
export function is_noncanonical_address({ registers }: kvm_vcpu, la: number): boolean {
  const half = (registers.cr4 & CR4.LA57) !== 0 ? 2 ** 56 : 2 ** 47;
  return la >= half && la < 2 ** 64 - half;
}

// --- ioctls and INIT ------------------------------------------------------------------------------------------------

/** What KVM_SET_SREGS gives, as far as the MMU goes. */
export interface kvm_sregs {
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

/** v6.1.192 x86.c __set_sregs: registers are stored below the setters, then one reset when any differs. */
export function __set_sregs(vcpu: kvm_vcpu, sregs: kvm_sregs): void {
  const { registers } = vcpu;
  let mmu_reset_needed =
    registers.cr3 !== sregs.cr3 ||
    registers.efer !== sregs.efer ||
    registers.cr0 !== sregs.cr0 ||
    registers.cr4 !== sregs.cr4;
  because(vcpu, '__set_sregs', 'SREGS');
  registers.cr3 = sregs.cr3;
  kvm_x86_set_efer(vcpu, sregs.efer);
  registers.cr0 = sregs.cr0;
  registers.cr4 = sregs.cr4;
  if (is_pae_paging(vcpu)) {
    load_pdptrs(vcpu, registers.cr3);
    because(vcpu, '__set_sregs', 'SREGS');
    mmu_reset_needed = true;
  }
  if (mmu_reset_needed) kvm_mmu_reset_context(vcpu);
}

/** v6.1.192 x86.c kvm_vcpu_reset. Without CR0.PG before, no root can depend on the registers that go. */
export function kvm_vcpu_reset(vcpu: kvm_vcpu, init_event: boolean): void {
  const { registers } = vcpu;
  const old_cr0 = registers.cr0;
  registers.cr3 = 0;
  const cache_bits = init_event ? old_cr0 & (CR0.NW | CR0.CD) : CR0.NW | CR0.CD;
  kvm_x86_set_cr0(vcpu, CR0_ET | cache_bits);
  registers.cr4 = 0;
  kvm_x86_set_efer(vcpu, 0);
  if ((old_cr0 & CR0.PG) !== 0) {
    kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
    because(vcpu, 'kvm_vcpu_reset', 'CR0.PG');
    kvm_mmu_reset_context(vcpu);
  }
  if (init_event) kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
}

// --- flushes and entry ----------------------------------------------------------------------------------------------

/** v6.1.192 x86.c kvm_vcpu_flush_tlb_current: hardware only. */
function kvm_vcpu_flush_tlb_current(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.tlb_flush++;
  kvm_x86_flush_tlb_current(vcpu);
}

/** v6.1.192 x86.c kvm_vcpu_flush_tlb_guest: what the guest sees flushed must be in sync without TDP. */
function kvm_vcpu_flush_tlb_guest(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.tlb_flush++;
  if (!tdp_enabled(vcpu)) {
    kvm_mmu_sync_roots(vcpu);
    kvm_mmu_sync_prev_roots(vcpu);
  }
  vcpu.log.note('hw_flush_guest');
  vcpu.cpu.flushGuest();
}

/** v6.1.192 x86.c kvm_service_local_tlb_flush_requests: before the MMU of another world takes over. */
export function kvm_service_local_tlb_flush_requests(vcpu: kvm_vcpu): void {
  if (kvm_check_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu)) kvm_vcpu_flush_tlb_current(vcpu);
  if (kvm_check_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu)) kvm_vcpu_flush_tlb_guest(vcpu);
}

/** v6.1.192 x86.c vcpu_enter_guest: requests in its order, then a root. False after a triple fault. */
export function vcpu_enter_guest(vcpu: kvm_vcpu): boolean {
  if (vcpu.requests !== 0 && !serve_requests(vcpu)) return false;
  if (!kvm_mmu_reload(vcpu)) {
    kvm_check_request(KVM_REQ.TRIPLE_FAULT, vcpu);
    return false;
  }
  if (vcpu.new_pgd_pending) {
    vcpu.kvm.vm.counters.new_pgd_hit++;
    vcpu.new_pgd_pending = false;
  }
  return true;
}

function serve_requests(vcpu: kvm_vcpu): boolean {
  if (kvm_check_request(KVM_REQ.MMU_FREE_OBSOLETE_ROOTS, vcpu)) {
    const { by, bits } = vcpu.drop_reason ?? { by: 'kvm_mmu_prepare_zap_page', bits: 'root page' };
    because(vcpu, by, bits);
    vcpu.drop_reason = null;
    kvm_mmu_free_obsolete_roots(vcpu);
  }
  if (kvm_check_request(KVM_REQ.MMU_SYNC, vcpu)) kvm_mmu_sync_roots(vcpu);
  if (kvm_check_request(KVM_REQ.LOAD_MMU_PGD, vcpu)) kvm_mmu_load_pgd(vcpu);
  if (kvm_check_request(KVM_REQ.TLB_FLUSH, vcpu)) {
    vcpu.kvm.vm.counters.tlb_flush++;
    vcpu.cpu.flushCurrent();
    vcpu.requests &= ~KVM_REQ.TLB_FLUSH_CURRENT;
  }
  kvm_service_local_tlb_flush_requests(vcpu);
  return !kvm_check_request(KVM_REQ.TRIPLE_FAULT, vcpu);
}
