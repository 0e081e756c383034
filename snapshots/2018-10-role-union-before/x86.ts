// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/x86.c (and vmx.c handle_invpcid): register writes, invalidation, guest entry. The functions are
 * those of 36d9594dfbf2 up to renames.
 *
 * Left out: everything at these places that is not about the MMU (async page faults, interrupts, timers), the CD/NW
 * quirk of old user space (off), CS.L (a write of CR0.PG never comes from 64-bit code here).
 */
import { powerOf2 } from '../../src/sim/address-parts.ts';
import { bitNames } from '../../src/sim/bit-names.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER, type Registers } from '../../src/sim/registers.ts';
import { is_long_mode, is_pae, is_paging, kvm_init_mmu } from './calc.ts';
import { kvm_mmu_load_cr3, set_cr0, set_cr4, set_efer, tlb_flush } from './kvm_x86_ops.ts';
import { drop_spte } from './mmu_rmap.ts';
import {
  kvm_mmu_create,
  kvm_mmu_free_roots,
  kvm_mmu_load,
  kvm_mmu_new_cr3,
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

/** v4.20 mmu.c kvm_zap_gfn_range over everything: all mappings of all frames go, the tables stay. */
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

/** v4.20 x86.c ~734 kvm_set_cr0. True: #GP. `noncoherent_dma`: a device bypasses caches, so CR0.CD has an effect. */
export function kvm_set_cr0(vcpu: kvm_vcpu, value: number, noncoherent_dma: boolean): boolean {
  vcpu.log.called('kvm_set_cr0');
  const { registers } = vcpu;
  const old_cr0 = registers.cr0;
  const cr0 = ((value | X86_CR0_ET) & CR0_VALID_BITS) >>> 0;
  if ((cr0 & CR0.NW) !== 0 && (cr0 & CR0.CD) === 0) return true;
  if ((cr0 & CR0.PG) !== 0 && (cr0 & CR0.PE) === 0) return true;
  if (!is_paging(vcpu) && (cr0 & CR0.PG) !== 0) {
    if ((registers.efer & EFER.LME) !== 0) {
      if (!is_pae(vcpu)) return true;
    } else if (is_pae(vcpu) && !load_pdptrs(vcpu, vcpu.walk_mmu, registers.cr3)) return true;
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
 * v4.20 cpuid.c kvm_update_cpuid: CPUID depends on CR4.OSXSAVE and PKE; the context is set up anew, whatever changed.
 */
export function kvm_update_cpuid(vcpu: kvm_vcpu): void {
  vcpu.log.enter('kvm_update_cpuid', '');
  try {
    kvm_mmu_reset_context(vcpu);
  } finally {
    vcpu.log.leave();
  }
}

/** VME to PCE (8:0), OSFXSR, OSXMMEXCPT, UMIP, LA57, VMXE, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE. */
const CR4_VALID_BITS = 0x00773fff;
const X86_CR4_OSXSAVE = 1 << 18;
const cpuid_names = bitNames('CR4', { OSXSAVE: X86_CR4_OSXSAVE, PKE: CR4.PKE });

/** v4.20 x86.c kvm_valid_cr4: bits of features that CPUID does not have are refused. */
function kvm_valid_cr4(vcpu: kvm_vcpu, cr4: number): boolean {
  const { smep, smap, pku, la57 } = vcpu.kvm.vm.host.cpuid;
  if ((cr4 & ~CR4_VALID_BITS) !== 0) return false;
  if (!smep && (cr4 & CR4.SMEP) !== 0) return false;
  if (!smap && (cr4 & CR4.SMAP) !== 0) return false;
  if (!pku && (cr4 & CR4.PKE) !== 0) return false;
  return la57 || (cr4 & CR4.LA57) === 0;
}

/** v4.20 x86.c ~870 kvm_set_cr4. True: #GP. */
export function kvm_set_cr4(vcpu: kvm_vcpu, cr4: number): boolean {
  vcpu.log.called('kvm_set_cr4');
  const { registers } = vcpu;
  const old_cr4 = registers.cr4;
  const { PAE, PKE, PCIDE } = CR4;
  let reason = cr4_names(cr4 ^ old_cr4);
  if (!kvm_valid_cr4(vcpu, cr4)) return true;
  if (is_long_mode(vcpu)) {
    if ((cr4 & PAE) === 0) return true;
  } else if (
    is_paging(vcpu) &&
    (cr4 & PAE) !== 0 &&
    reason !== '' &&
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
    vcpu.log.because('kvm_set_cr4', cpuid_names(cr4 ^ old_cr4));
    kvm_update_cpuid(vcpu);
  }
  return false;
}

/** v4.20 x86.c ~932 kvm_set_cr3. True: #GP. `noflush` is bit 63 of the written value. */
export function kvm_set_cr3(vcpu: kvm_vcpu, value: number, noflush: boolean): boolean {
  vcpu.log.called('kvm_set_cr3');
  const { registers } = vcpu;
  const pcid_enabled = (registers.cr4 & CR4.PCIDE) !== 0;
  const skip_tlb_flush = pcid_enabled && noflush;
  // Without PCIDs bit 63 stays in the value.
  const cr3 = noflush && !pcid_enabled ? value + 2 ** 63 : value;
  if (cr3 === registers.cr3 && !pdptrs_changed(vcpu)) {
    if (!skip_tlb_flush) {
      kvm_mmu_sync_roots(vcpu);
      kvm_make_request(KVM_REQ.TLB_FLUSH, vcpu);
    }
    return false;
  }
  if (is_long_mode(vcpu) && cr3 >= powerOf2(vcpu.kvm.vm.host.cpuid.maxPhyAddr)) return true;
  if (is_pae(vcpu) && is_paging(vcpu) && !load_pdptrs(vcpu, vcpu.walk_mmu, cr3)) return true;
  vcpu.log.because('kvm_set_cr3', cr3 === registers.cr3 ? 'PDPTEs' : 'CR3');
  kvm_mmu_new_cr3(vcpu, cr3, skip_tlb_flush);
  registers.cr3 = cr3;
  return false;
}

/** SCE, LME, LMA, NX; SVM adds SVME, LMSLE and fast FXSAVE. v4.20 x86.c efer_reserved_bits, kvm_enable_efer_bits */
const EFER_VALID_BITS = 1 | EFER.LME | EFER.LMA | EFER.NXE;
const EFER_SVM_BITS = EFER.SVME | (1 << 13) | (1 << 14);

/** v4.20 x86.c ~1263 set_efer. True: #GP. */
export function kvm_set_efer(vcpu: kvm_vcpu, value: number): boolean {
  const { registers } = vcpu;
  const old_efer = registers.efer;
  const valid = EFER_VALID_BITS | (vcpu.kvm.vm.host.vendor === 'svm' ? EFER_SVM_BITS : 0);
  if ((value & ~valid) !== 0) return true;
  if (is_paging(vcpu) && (old_efer & EFER.LME) !== (value & EFER.LME)) return true;
  const efer = ((value & ~EFER.LMA) | (old_efer & EFER.LMA)) >>> 0;
  set_efer(vcpu, efer);
  if (((efer ^ old_efer) & EFER.NXE) !== 0) {
    vcpu.log.because('set_efer', 'EFER.NX');
    kvm_mmu_reset_context(vcpu);
  }
  return false;
}

/** v4.20 kvm_host.h kvm_inject_gp */
export function kvm_inject_gp(vcpu: kvm_vcpu): void {
  vcpu.log.note('inject_gp');
  vcpu.kvm.vm.counters.injected_gp++;
}

/** Types of INVPCID. SDM vol. 2A */
const INVPCID_TYPE_INDIV_ADDR = 0;
const INVPCID_TYPE_SINGLE_CTXT = 1;

/** v4.20 vmx.c ~9604 handle_invpcid. True: #GP was injected. */
export function handle_invpcid(vcpu: kvm_vcpu, type: number, pcid: number, gla: number): boolean {
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
  vcpu.log.because('handle_invpcid', `type ${type}`);
  if (type === INVPCID_TYPE_INDIV_ADDR) kvm_mmu_invpcid_gva(vcpu, gla, pcid);
  else if (type === INVPCID_TYPE_SINGLE_CTXT) {
    if (kvm_get_active_pcid(vcpu) === pcid) {
      kvm_mmu_sync_roots(vcpu);
      kvm_make_request(KVM_REQ.TLB_FLUSH, vcpu);
    }
    let roots_to_free = 0;
    vcpu.mmu.prev_roots.forEach(({ cr3 }, i) => {
      if (kvm_get_pcid(vcpu, cr3) === pcid) roots_to_free |= KVM_MMU_ROOT_PREVIOUS(i);
    });
    kvm_mmu_free_roots(vcpu, vcpu.mmu, roots_to_free);
  } else kvm_mmu_unload(vcpu);
  return false;
}

/** v4.20 x86.c kvm_vcpu_flush_tlb */
function kvm_vcpu_flush_tlb(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.tlb_flush++;
  tlb_flush(vcpu);
}

/**
 * v4.20 x86.c __set_sregs with the values that the registers have: only PAE paging makes it reset the context, for its
 * PDPTEs are read again.
 */
export function __set_sregs(vcpu: kvm_vcpu): void {
  set_efer(vcpu, vcpu.registers.efer);
  if (is_long_mode(vcpu) || !is_pae(vcpu) || !is_paging(vcpu)) return;
  load_pdptrs(vcpu, vcpu.walk_mmu, vcpu.registers.cr3);
  vcpu.log.because('__set_sregs', 'PDPTEs');
  kvm_mmu_reset_context(vcpu);
}

/**
 * v4.20 x86.c ~7534 vcpu_enter_guest, from the requests to the root. False: the guest was not entered, for a load failed or a
 * triple fault was asked for before; true although requests made on the way are pending still.
 */
export function vcpu_enter_guest(vcpu: kvm_vcpu): boolean {
  if (kvm_check_request(KVM_REQ.MMU_RELOAD, vcpu)) {
    vcpu.log.because('vcpu_enter_guest', 'KVM_REQ_MMU_RELOAD');
    kvm_mmu_unload(vcpu);
  }
  if (kvm_check_request(KVM_REQ.MMU_SYNC, vcpu)) kvm_mmu_sync_roots(vcpu);
  if (kvm_check_request(KVM_REQ.LOAD_CR3, vcpu)) kvm_mmu_load_cr3(vcpu);
  if (kvm_check_request(KVM_REQ.TLB_FLUSH, vcpu)) kvm_vcpu_flush_tlb(vcpu);
  if (kvm_check_request(KVM_REQ.TRIPLE_FAULT, vcpu)) return false;
  // v4.20 mmu.h:76 kvm_mmu_reload
  return vcpu.mmu.root_hpa !== INVALID_PAGE || !kvm_mmu_load(vcpu);
}

/**
 * v4.20 x86.c vcpu_run: a request made on the way in (by the load that found unsync pages, by a load that failed) sends
 * the vCPU back to serve it. `shutdown` also stands for the error that no free page makes.
 */
export function vcpu_run(vcpu: kvm_vcpu): 'entered' | 'shutdown' {
  do {
    const entered = vcpu_enter_guest(vcpu);
    if (!entered && (vcpu.requests & KVM_REQ.TRIPLE_FAULT) === 0) return 'shutdown';
  } while (vcpu.requests !== 0);
  if (vcpu.new_cr3_pending) vcpu.kvm.vm.counters.new_pgd_hit++;
  vcpu.new_cr3_pending = false;
  return 'entered';
}

/** v4.20 svm.c init_vmcb: when the vCPU is created and again with its reset. */
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
 * v4.20 vmx.c vmx_vcpu_reset: without unrestricted guest real mode is virtual-8086 mode from the start, for which
 * set_cr0 resets the context.
 */
function vmx_vcpu_reset(vcpu: kvm_vcpu): void {
  vcpu.log.because('vmx_vcpu_reset', 'reset');
  set_cr0(vcpu, vcpu.registers.cr0);
  set_efer(vcpu, vcpu.registers.efer);
}

/** v4.20 x86.c kvm_arch_vcpu_create and kvm_arch_vcpu_setup: kvm_mmu_create, reset, kvm_mmu_setup. */
export function create_vcpu(kvm: kvm, registers: Registers, cpu: Cpu): kvm_vcpu {
  const vcpu = new kvm_vcpu(kvm, registers, cpu);
  kvm.vcpus.push(vcpu);
  kvm_mmu_create(vcpu);
  if (kvm.vm.host.vendor === 'svm') {
    init_vmcb(vcpu);
    init_vmcb(vcpu);
  } else vmx_vcpu_reset(vcpu);
  kvm_init_mmu(vcpu, true);
  return vcpu;
}
