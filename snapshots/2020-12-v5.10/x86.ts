// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/x86.c (and vmx.c kvm_x86_ops): register writes, invalidation, guest entry. The functions are
 * those of v5.10.262 up to renames.
 *
 * Left out: everything at these places that is not about the MMU (async page faults, interrupts, timers), the CD/NW
 * quirk of old user space (off), CS.L (a write of CR0.PG never comes from 64-bit code here).
 */
import { powerOf2 } from '../../src/sim/address-parts.ts';
import { bitNames } from '../../src/sim/bit-names.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER, type Registers } from '../../src/sim/registers.ts';
import { is_long_mode, is_pae, is_pae_paging, is_paging, kvm_init_mmu } from './calc.ts';
import { kvm_mmu_load_pgd, set_cr0, set_cr4, set_efer, tlb_flush_current, tlb_flush_guest } from './kvm_x86_ops.ts';
import { drop_spte } from './mmu_rmap.ts';
import {
  kvm_mmu_create,
  kvm_mmu_free_roots,
  kvm_mmu_load,
  kvm_mmu_new_pgd,
  kvm_mmu_reset_context,
  kvm_mmu_sync_roots,
  kvm_mmu_unload,
} from './mmu_roots.ts';
import { is_noncanonical_address, kvm_get_active_pcid, kvm_get_pcid, kvm_mmu_invpcid_gva } from './mmu_write.ts';
import { PT_PAGE_TABLE_LEVEL, PT_PDPE_LEVEL } from './spte.ts';
import { kvm_flush_remote_tlbs, kvm_make_request } from './tlb.ts';
import { INVALID_PAGE, KVM_MMU_ROOT_PREVIOUS, KVM_REQ, type kvm, kvm_vcpu } from './types.ts';
import { load_pdptrs, pdptrs_changed } from './x86_pdptr.ts';

/** kvm_check_request: takes the request back. */
function kvm_check_request(request: number, vcpu: kvm_vcpu): boolean {
  if ((vcpu.requests & request) === 0) return false;
  vcpu.requests &= ~request;
  return true;
}

/** Names of the changed bits among those that matter, as a reason: `CR4.PAE CR4.SMEP`. */
const cr0_names = bitNames('CR0', { PG: CR0.PG, WP: CR0.WP, PE: CR0.PE });
const cr0_update_names = bitNames('CR0', { PG: CR0.PG, WP: CR0.WP });
const cr4_names = bitNames('CR4', {
  PGE: CR4.PGE,
  PSE: CR4.PSE,
  PAE: CR4.PAE,
  SMEP: CR4.SMEP,
  SMAP: CR4.SMAP,
  PKE: CR4.PKE,
});

/** PE MP EM TS ET NE WP AM NW CD PG; the others of CR0 are dropped from a written value. */
const CR0_VALID_BITS = 0xe005003f | 0;
const X86_CR0_ET = 1 << 4;

/** v5.10.262 mmu.c kvm_zap_gfn_range over everything: all mappings of all frames go, the tables stay. */
const kvm_zap_gfn_range_all = probe(
  'kvm_zap_gfn_range',
  (vcpu: kvm_vcpu): void => {
    const { kvm } = vcpu;
    let flush = false;
    for (const { rmap, memslots } of kvm.vm.addressSpaces) {
      for (let level = PT_PAGE_TABLE_LEVEL; level <= PT_PDPE_LEVEL; level++) {
        for (let gfn = 0; gfn < memslots.frames; gfn += 512 ** (level - 1)) {
          for (const sptep of rmap.entries(gfn, level)) {
            drop_spte(kvm, sptep);
            flush = true;
          }
        }
      }
    }
    if (flush) kvm_flush_remote_tlbs(kvm);
  },
  { skipped: undefined },
);

/** v5.10.262 x86.c:830 kvm_set_cr0. True: #GP. `noncoherent_dma`: a device bypasses caches, so CR0.CD has an effect. */
export function kvm_set_cr0(vcpu: kvm_vcpu, value: number, noncoherent_dma: boolean): boolean {
  const { registers } = vcpu;
  vcpu.log.called('kvm_set_cr0');
  const old_cr0 = registers.cr0;
  const cr0 = ((value | X86_CR0_ET) & CR0_VALID_BITS) >>> 0;
  if ((cr0 & CR0.NW) !== 0 && (cr0 & CR0.CD) === 0) return true;
  if ((cr0 & CR0.PG) !== 0 && (cr0 & CR0.PE) === 0) return true;
  const long_mode = (registers.efer & EFER.LME) !== 0;
  if (long_mode && !is_paging(vcpu) && (cr0 & CR0.PG) !== 0 && !is_pae(vcpu)) return true;
  // Caching attributes of the table may have changed, too.
  const pdptr_bits = CR0.CD | CR0.NW | CR0.PG;
  if (
    !long_mode &&
    (cr0 & CR0.PG) !== 0 &&
    is_pae(vcpu) &&
    ((cr0 ^ old_cr0) & pdptr_bits) !== 0 &&
    !load_pdptrs(vcpu, vcpu.walk_mmu, registers.cr3)
  ) {
    return true;
  }
  if ((cr0 & CR0.PG) === 0 && (registers.cr4 & CR4.PCIDE) !== 0) return true;
  vcpu.log.because('kvm_set_cr0', cr0_names(cr0 ^ old_cr0));
  set_cr0(vcpu, cr0);
  const reason = cr0_update_names(cr0 ^ old_cr0);
  if (reason !== '') {
    vcpu.log.because('kvm_set_cr0', reason);
    kvm_mmu_reset_context(vcpu);
  }
  if (((cr0 ^ old_cr0) & CR0.CD) !== 0 && noncoherent_dma) kvm_zap_gfn_range_all(vcpu);
  return false;
}

/**
 * v5.10.262 cpuid.c kvm_update_cpuid_runtime: CPUID depends on CR4.OSXSAVE and PKE. No context is set up for that any
 * more.
 */
export const kvm_update_cpuid_runtime = probe('kvm_update_cpuid_runtime', (_vcpu: kvm_vcpu): void => {}, {
  skipped: undefined,
});

/** VME to PCE (8:0), OSFXSR, OSXMMEXCPT, UMIP, LA57, VMXE, FSGSBASE, PCIDE, OSXSAVE, SMEP, PKE. */
const CR4_VALID_BITS = 0x00773fff;
const X86_CR4_OSXSAVE = 1 << 18;

/** v5.10.262 x86.c kvm_valid_cr4: bits of features that CPUID does not have are refused. */
function kvm_valid_cr4(vcpu: kvm_vcpu, cr4: number): boolean {
  const { smep, smap, pku, la57 } = vcpu.kvm.vm.host.cpuid;
  if ((cr4 & ~CR4_VALID_BITS) !== 0) return false;
  if (!smep && (cr4 & CR4.SMEP) !== 0) return false;
  if (!smap && (cr4 & CR4.SMAP) !== 0) return false;
  if (!pku && (cr4 & CR4.PKE) !== 0) return false;
  return la57 || (cr4 & CR4.LA57) === 0;
}

/** v5.10.262 x86.c:1005 kvm_set_cr4. True: #GP. */
export function kvm_set_cr4(vcpu: kvm_vcpu, cr4: number): boolean {
  const { registers } = vcpu;
  vcpu.log.called('kvm_set_cr4');
  const old_cr4 = registers.cr4;
  const { PGE, PSE, PAE, SMEP, PKE, PCIDE } = CR4;
  const pdptr_bits = PGE | PSE | PAE | SMEP;
  let reason = cr4_names(cr4 ^ old_cr4);
  if (!kvm_valid_cr4(vcpu, cr4)) return true;
  if (is_long_mode(vcpu)) {
    if ((cr4 & PAE) === 0 || ((cr4 ^ old_cr4) & CR4.LA57) !== 0) return true;
  } else if (
    is_paging(vcpu) &&
    (cr4 & PAE) !== 0 &&
    ((cr4 ^ old_cr4) & pdptr_bits) !== 0 &&
    !load_pdptrs(vcpu, vcpu.walk_mmu, registers.cr3)
  ) {
    return true;
  }
  if ((cr4 & PCIDE) !== 0 && (old_cr4 & PCIDE) === 0) {
    if (!vcpu.kvm.vm.host.cpuid.pcid || (registers.cr3 & 0xfff) !== 0 || !is_long_mode(vcpu)) return true;
  }
  if (set_cr4(vcpu, cr4)) return true;
  if ((cr4 & PCIDE) === 0 && (old_cr4 & PCIDE) !== 0) reason = `${reason} CR4.PCIDE`.trim();
  if (reason !== '') {
    vcpu.log.because('kvm_set_cr4', reason);
    kvm_mmu_reset_context(vcpu);
  }
  if (((cr4 ^ old_cr4) & (X86_CR4_OSXSAVE | PKE)) !== 0) {
    kvm_update_cpuid_runtime(vcpu);
  }
  return false;
}

/** v5.10.262 x86.c:1048 kvm_set_cr3. True: #GP. `noflush` is bit 63 of the written value. */
export function kvm_set_cr3(vcpu: kvm_vcpu, value: number, noflush: boolean): boolean {
  const { registers } = vcpu;
  vcpu.log.called('kvm_set_cr3');
  const pcid_enabled = (registers.cr4 & CR4.PCIDE) !== 0;
  const skip_tlb_flush = pcid_enabled && noflush;
  // Without PCIDs bit 63 stays in the value.
  const cr3 = noflush && !pcid_enabled ? value + 2 ** 63 : value;
  if (cr3 === registers.cr3 && !pdptrs_changed(vcpu)) {
    if (!skip_tlb_flush) {
      kvm_mmu_sync_roots(vcpu);
      kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
    }
    return false;
  }
  if (is_long_mode(vcpu) && cr3 >= powerOf2(vcpu.kvm.vm.host.cpuid.maxPhyAddr)) return true;
  if (is_pae_paging(vcpu) && !load_pdptrs(vcpu, vcpu.walk_mmu, cr3)) return true;
  vcpu.log.because('kvm_set_cr3', cr3 === registers.cr3 ? 'PDPTEs' : 'CR3');
  kvm_mmu_new_pgd(vcpu, cr3, skip_tlb_flush, skip_tlb_flush);
  registers.cr3 = cr3;
  return false;
}

/** SCE, LME, LMA, NX; SVM adds SVME, LMSLE and fast FXSAVE. v5.10.262 x86.c efer_reserved_bits, kvm_enable_efer_bits */
const EFER_VALID_BITS = 1 | EFER.LME | EFER.LMA | EFER.NXE;
const EFER_SVM_BITS = EFER.SVME | (1 << 13) | (1 << 14);

/** v5.10.262 x86.c:1525 set_efer. True: #GP. `host_initiated`: user space may flip LME under paging. */
export function kvm_set_efer(vcpu: kvm_vcpu, value: number, host_initiated: boolean): boolean {
  const { registers } = vcpu;
  const old_efer = registers.efer;
  const valid = EFER_VALID_BITS | (vcpu.kvm.vm.host.vendor === 'svm' ? EFER_SVM_BITS : 0);
  if ((value & ~valid) !== 0) return true;
  if (!host_initiated && is_paging(vcpu) && (old_efer & EFER.LME) !== (value & EFER.LME)) return true;
  const efer = ((value & ~EFER.LMA) | (old_efer & EFER.LMA)) >>> 0;
  set_efer(vcpu, efer);
  if (((efer ^ old_efer) & EFER.NXE) !== 0) {
    vcpu.log.because('set_efer', 'EFER.NX');
    kvm_mmu_reset_context(vcpu);
  }
  return false;
}

/** Types of INVPCID. SDM vol. 2A */
const INVPCID_TYPE_INDIV_ADDR = 0;
const INVPCID_TYPE_SINGLE_CTXT = 1;

/** v5.10.262 x86.c:11592 kvm_handle_invpcid, for both vendors. True: #GP was injected. */
export function kvm_handle_invpcid(vcpu: kvm_vcpu, type: number, pcid: number, gla: number): boolean {
  const pcid_enabled = (vcpu.registers.cr4 & CR4.PCIDE) !== 0;
  const bad =
    type > 3 ||
    pcid > 0xfff ||
    (type <= INVPCID_TYPE_SINGLE_CTXT && !pcid_enabled && pcid !== 0) ||
    (type === INVPCID_TYPE_INDIV_ADDR && is_noncanonical_address(gla, vcpu));
  if (bad) {
    kvm_inject_gp(vcpu);
    return true;
  }
  vcpu.log.because('kvm_handle_invpcid', `type ${type}`);
  if (type === INVPCID_TYPE_INDIV_ADDR) kvm_mmu_invpcid_gva(vcpu, gla, pcid);
  else if (type === INVPCID_TYPE_SINGLE_CTXT) {
    if (kvm_get_active_pcid(vcpu) === pcid) {
      kvm_mmu_sync_roots(vcpu);
      kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
    }
    let roots_to_free = 0;
    vcpu.mmu.prev_roots.forEach(({ pgd }, i) => {
      if (kvm_get_pcid(vcpu, pgd) === pcid) roots_to_free |= KVM_MMU_ROOT_PREVIOUS(i);
    });
    kvm_mmu_free_roots(vcpu, vcpu.mmu, roots_to_free);
  } else kvm_make_request(KVM_REQ.MMU_RELOAD, vcpu);
  return false;
}

/** v5.10.262 kvm_host.h kvm_inject_gp */
export function kvm_inject_gp(vcpu: kvm_vcpu): void {
  vcpu.log.note('inject_gp');
  vcpu.kvm.vm.counters.injected_gp++;
}

/**
 * v5.10.262 x86.c __set_sregs with the values that the registers have: only PAE paging makes it reset the context, for
 * its PDPTEs are read again.
 */
export function __set_sregs(vcpu: kvm_vcpu): void {
  set_efer(vcpu, vcpu.registers.efer);
  if (is_long_mode(vcpu) || !is_pae(vcpu) || !is_paging(vcpu)) return;
  load_pdptrs(vcpu, vcpu.walk_mmu, vcpu.registers.cr3);
  vcpu.log.because('__set_sregs', 'PDPTEs');
  kvm_mmu_reset_context(vcpu);
}

/** v5.10.262 x86.c kvm_vcpu_flush_tlb_all, x86.h kvm_vcpu_flush_tlb_current: one context is all there is here. */
function kvm_vcpu_flush_tlb_current(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.tlb_flush++;
  tlb_flush_current(vcpu);
}

/** v5.10.262 x86.c kvm_vcpu_flush_tlb_guest: hardware only. Shadow pages are not synced, as later kernels do. */
function kvm_vcpu_flush_tlb_guest(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.tlb_flush++;
  tlb_flush_guest(vcpu);
}

/**
 * v5.10.262 x86.c vcpu_enter_guest, from the requests to the root. False: the guest was not entered, for a load failed
 * or a triple fault was asked for before; true although requests made on the way are pending still.
 */
export function vcpu_enter_guest(vcpu: kvm_vcpu): boolean {
  if (kvm_check_request(KVM_REQ.MMU_RELOAD, vcpu)) {
    vcpu.log.because('vcpu_enter_guest', 'KVM_REQ_MMU_RELOAD');
    kvm_mmu_unload(vcpu);
  }
  if (kvm_check_request(KVM_REQ.MMU_SYNC, vcpu)) kvm_mmu_sync_roots(vcpu);
  if (kvm_check_request(KVM_REQ.LOAD_MMU_PGD, vcpu)) kvm_mmu_load_pgd(vcpu);
  if (kvm_check_request(KVM_REQ.TLB_FLUSH, vcpu)) {
    kvm_vcpu_flush_tlb_current(vcpu);
    // That flushed the current context too.
    vcpu.requests &= ~KVM_REQ.TLB_FLUSH_CURRENT;
  }
  if (kvm_check_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu)) kvm_vcpu_flush_tlb_current(vcpu);
  if (kvm_check_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu)) kvm_vcpu_flush_tlb_guest(vcpu);
  if (kvm_check_request(KVM_REQ.TRIPLE_FAULT, vcpu)) return false;
  // v5.10.262 mmu.h kvm_mmu_reload
  return vcpu.mmu.root_hpa !== INVALID_PAGE || !kvm_mmu_load(vcpu);
}

/**
 * v5.10.262 x86.c vcpu_run: a request made on the way in (by the load that found unsync pages, by a load that failed)
 * sends the vCPU back to serve it. `shutdown` also stands for the error that no free page makes.
 */
export function vcpu_run(vcpu: kvm_vcpu): 'entered' | 'shutdown' {
  do {
    const entered = vcpu_enter_guest(vcpu);
    if (!entered && (vcpu.requests & KVM_REQ.TRIPLE_FAULT) === 0) return 'shutdown';
  } while (vcpu.requests !== 0);
  if (vcpu.new_pgd_pending) vcpu.kvm.vm.counters.new_pgd_hit++;
  vcpu.new_pgd_pending = false;
  return 'entered';
}

/** v5.10.262 svm.c init_vmcb: when the vCPU is created and again with its reset. */
function init_vmcb(vcpu: kvm_vcpu): void {
  vcpu.log.enter('init_vmcb', '');
  try {
    set_efer(vcpu, vcpu.registers.efer);
    set_cr0(vcpu, vcpu.registers.cr0);
    vcpu.log.because('init_vmcb', 'reset');
    kvm_mmu_reset_context(vcpu);
  } finally {
    vcpu.log.leave();
  }
}

/**
 * v5.10.262 vmx.c vmx_vcpu_reset: without unrestricted guest real mode is virtual-8086 mode from the start, for which
 * set_cr0 resets the context.
 */
function vmx_vcpu_reset(vcpu: kvm_vcpu): void {
  vcpu.log.because('vmx_vcpu_reset', 'reset');
  set_cr0(vcpu, vcpu.registers.cr0);
  set_efer(vcpu, vcpu.registers.efer);
}

/** v5.10.262 x86.c kvm_arch_vcpu_create: kvm_mmu_create, the vendor, reset, and a first set-up. */
export function create_vcpu(kvm: kvm, registers: Registers, cpu: Cpu): kvm_vcpu {
  const vcpu = new kvm_vcpu(kvm, registers, cpu);
  kvm.vcpus.push(vcpu);
  kvm_mmu_create(vcpu);
  if (kvm.vm.host.vendor === 'svm') {
    init_vmcb(vcpu);
    init_vmcb(vcpu);
  } else vmx_vcpu_reset(vcpu);
  kvm_init_mmu(vcpu, false);
  return vcpu;
}
