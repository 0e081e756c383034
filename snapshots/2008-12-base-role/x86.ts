// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/x86.c (virt/kvm/kvm_main.c where it says so): register writes, requests and guest entry; and
 * what the vendor modules do around them.
 *
 * Left out: CLTS, LMSW, MTRR writes, task switches and paravirtual MMU calls (the workload language has none of them),
 * CS.L at a CR0 write (a guest that turns paging on runs 32-bit code), lazy FPU (CR0.TS), CR0.CD and NW,
 * which SVM keeps from the hardware.
 */
import type { WriteResult } from '../../src/era.ts';
import { noteMember } from '../../src/role/reads.ts';
import { bitNames } from '../../src/sim/bit-names.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { is_long_mode, is_pae, is_paging } from './calc.ts';
import { mmu_invlpg, mmu_new_cr3, mmu_page_fault } from './mmu_fault.ts';
import {
  kvm_mmu_load,
  kvm_mmu_reset_context,
  kvm_mmu_sync_global,
  kvm_mmu_sync_roots,
  kvm_mmu_unload,
} from './mmu_roots.ts';
import { INVALID_PAGE, KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';

/** Bits of CR0 and CR4 that this kernel knows, by name; all others are reserved (x86.c:42, :47). */
const cr0_bits = {
  PE: CR0.PE,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: CR0.WP,
  AM: 1 << 18,
  NW: CR0.NW,
  CD: CR0.CD,
  PG: CR0.PG,
} as const;
const cr4_bits = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: CR4.PSE,
  PAE: CR4.PAE,
  MCE: 1 << 6,
  PGE: CR4.PGE,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  VMXE: CR4.VMXE,
} as const;

const all_bits = (bits: Readonly<Record<string, number>>): number => Object.values(bits).reduce((a, b) => a | b, 0);
const CR0_KNOWN = all_bits(cr0_bits);
/** Every CR4 bit this kernel knows. */
export const CR4_KNOWN = all_bits(cr4_bits);
/** kvm_host.h: bits 2:0 and 11:5, and 63:40 in the high half. Bits 3 and 4 (PWT, PCD) are free. */
const CR3_L_MODE_RESERVED_LO = 0xfe7;
const CR3_L_MODE_RESERVED_HI = 0xffffff00;
/** kvm_host.h CR3_PAE_RESERVED_BITS: meant as bits 2:0, but PWT + PCD - 1 is 0x17, so PCD is refused too. */
const CR3_PAE_RESERVED_BITS = 0x17;
/** EFER bits a guest may set: SCE, LME, LMA, NX, and SVME on SVM with nested=1 (x86.c:62, kvm_enable_efer_bits). */
const efer_allowed = ({ vm }: kvm): number =>
  1 | EFER.LME | EFER.LMA | EFER.NXE | (vm.host.vendor === 'svm' ? EFER.SVME : 0);

/** Results with their type, for probes to hand out. */
const done: WriteResult = 'done';
const gp: WriteResult = 'gp';

/** `CR0.WP CR0.PG`: what a write changes. Every accepted write acts in this era, also one that changes nothing. */
const cr0_names = bitNames('CR0', cr0_bits);
const cr4_names = bitNames('CR4', cr4_bits);

/** v2.6.29 x86.c kvm_inject_page_fault:172 */
export function kvm_inject_page_fault(vcpu: kvm_vcpu, addr: number, error_code: number): void {
  vcpu.kvm.vm.counters.injected_page_faults++;
  vcpu.exception.pending = true;
  vcpu.exception.cr2 = addr;
  vcpu.exception.error_code = error_code;
}

/**
 * virt/kvm/kvm_main.c kvm_flush_remote_tlbs. Counted when called; the C counts only when another CPU had to be told.
 */
export function kvm_flush_remote_tlbs(kvm: kvm): void {
  kvm.vm.counters.remote_tlb_flush++;
  kvm.vm.log.note('req_tlb_flush');
  for (const vcpu of kvm.vcpus) vcpu.requests |= KVM_REQ.TLB_FLUSH;
}

/** virt/kvm/kvm_main.c kvm_reload_remote_mmus */
export function kvm_reload_remote_mmus(kvm: kvm): void {
  kvm.vm.log.note('req_mmu_reload');
  for (const vcpu of kvm.vcpus) vcpu.requests |= KVM_REQ.MMU_RELOAD;
}

/** a770f6f28b1a mmu.c kvm_mmu_flush_tlb:2144 */
export const kvm_mmu_flush_tlb = probe(
  'kvm_mmu_flush_tlb',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.tlb_flush++;
    // v2.6.29 vmx.c vmx_flush_tlb names the context by the root, also when there is none.
    if (vcpu.kvm.vm.host.tdp === 'ept') noteMember(vcpu.mmu, 'vmx_flush_tlb', 'root_hpa');
    vcpu.cpu.flushCurrent();
  },
  { skipped: undefined },
);

/**
 * kvm_x86_ops->set_cr3: the root goes to hardware as CR3, nCR3 or EPT pointer. Flushes that come with it follow anyway.
 * The depth is no read of KVM's: hardware has it from the host's mode, and an EPT pointer always says 4.
 */
export function set_cr3(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.load_pgd++;
  vcpu.cpu.loadRoot(vcpu.mmu.root_hpa, vcpu.mmu.shadow_root_level);
}

/**
 * v2.6.29 x86.c load_pdptrs:218. False, and the cached PDPTRs stay, for reserved bits (63:36 and 8:5, 2:1) or no
 * memory.
 */
export const load_pdptrs = probe(
  'load_pdptrs',
  ({ kvm, registers }: kvm_vcpu, cr3: number): boolean => {
    const { memory } = kvm.vm;
    const table = cr3 - (cr3 & 0x1f);
    if (!kvm.vm.memslots.isVisible(Math.floor(table / 4096))) return false;
    for (let i = 0; i < 4; i++) {
      const lo = memory.read32(table + 8 * i);
      const hi = memory.read32(table + 8 * i + 4);
      if ((lo & 1) !== 0 && ((lo & 0x1e6) !== 0 || (hi & 0xfffffff0) !== 0)) return false;
    }
    for (let word = 0; word < 8; word++) registers.pdptes[word] = memory.read32(table + 4 * word);
    return true;
  },
  { skipped: true },
);

/** v2.6.29 x86.c pdptrs_changed:247. Compares with CR3's table even while paging is off. */
function pdptrs_changed(vcpu: kvm_vcpu): boolean {
  if (is_long_mode(vcpu) || !is_pae(vcpu)) return false;
  const { memory, memslots } = vcpu.kvm.vm;
  const { cr3, pdptes } = vcpu.registers;
  const table = cr3 - (cr3 & 0x1f);
  if (!memslots.isVisible(Math.floor(table / 4096))) return true;
  for (let word = 0; word < 8; word++) if ((memory.read32(table + 4 * word) | 0) !== pdptes[word]) return true;
  return false;
}

/** EFER.LMA follows CR0.PG while LME is set (vmx.c enter_lmode/exit_lmode, svm.c svm_set_cr0). */
export function update_lma(vcpu: kvm_vcpu, cr0: number): void {
  if ((vcpu.shadow_efer & EFER.LME) === 0) return;
  const paging = (cr0 & CR0.PG) !== 0;
  if (is_paging(vcpu) !== paging) store_efer(vcpu, (vcpu.shadow_efer & ~EFER.LMA) | (paging ? EFER.LMA : 0), cr0);
}

/** KVM's copy as it is, and the register as hardware has it: in long mode exactly while LME and CR0.PG are set. */
export function store_efer(vcpu: kvm_vcpu, efer: number, cr0: number): void {
  const long_mode = (efer & EFER.LME) !== 0 && (cr0 & CR0.PG) !== 0;
  vcpu.shadow_efer = efer >>> 0;
  vcpu.registers.efer = ((efer & ~EFER.LMA) | (long_mode ? EFER.LMA : 0)) >>> 0;
  // SVM runs the guest with its own NX, VMX with the host's, which is on (v2.6.29 svm.c svm_set_efer, vmx.c
  // update_transition_efer).
  if (vcpu.kvm.vm.host.vendor === 'svm') vcpu.cpu.setShadowNx?.((efer & EFER.NXE) !== 0);
}

/**
 * kvm_x86_ops->set_cr0. VMX goes to virtual-8086 mode when the guest leaves protected mode, and resets the MMU there,
 * with the old CR0 still in place (v2.6.29 vmx.c vmx_set_cr0:1536, enter_rmode:1386).
 */
function set_cr0(vcpu: kvm_vcpu, cr0: number): void {
  if (vcpu.kvm.vm.host.vendor === 'vmx') {
    const real_mode = (cr0 & CR0.PE) === 0;
    if (real_mode && !vcpu.rmode_active) kvm_mmu_reset_context(vcpu);
    vcpu.rmode_active = real_mode;
  }
  update_lma(vcpu, cr0);
}

/** v2.6.29 x86.c kvm_set_cr0:265. `cr0` may have more than 32 bits, of which the upper are reserved. */
export const kvm_set_cr0 = probe(
  'kvm_set_cr0',
  (vcpu: kvm_vcpu, cr0: number): WriteResult => {
    const { registers } = vcpu;
    if (cr0 >= 2 ** 32 || (cr0 & ~CR0_KNOWN) !== 0) return kvm_inject_gp(vcpu);
    if ((cr0 & CR0.NW) !== 0 && (cr0 & CR0.CD) === 0) return kvm_inject_gp(vcpu);
    if ((cr0 & CR0.PG) !== 0 && (cr0 & CR0.PE) === 0) return kvm_inject_gp(vcpu);
    if (!is_paging(vcpu) && (cr0 & CR0.PG) !== 0) {
      if (is_long_mode(vcpu)) {
        if (!is_pae(vcpu)) return kvm_inject_gp(vcpu);
      } else if (is_pae(vcpu) && !load_pdptrs(vcpu, registers.cr3)) return kvm_inject_gp(vcpu);
    }
    vcpu.log.because('kvm_set_cr0', cr0_names(vcpu.cr0 ^ cr0) || 'CR0 unchanged');
    set_cr0(vcpu, cr0);
    vcpu.cr0 = cr0 >>> 0;
    registers.cr0 = cr0 >>> 0;
    kvm_mmu_sync_global(vcpu);
    kvm_mmu_reset_context(vcpu);
    return 'done';
  },
  { skipped: done },
);

/** v2.6.29 x86.c kvm_set_cr4:335. VMXE is known, and refused: VMX is not nested yet. */
export const kvm_set_cr4 = probe(
  'kvm_set_cr4',
  (vcpu: kvm_vcpu, cr4: number): WriteResult => {
    const { registers } = vcpu;
    if (cr4 >= 2 ** 32 || (cr4 & ~CR4_KNOWN) !== 0) return kvm_inject_gp(vcpu);
    if (is_long_mode(vcpu)) {
      if ((cr4 & CR4.PAE) === 0) return kvm_inject_gp(vcpu);
    } else if (is_paging(vcpu) && !is_pae(vcpu) && (cr4 & CR4.PAE) !== 0 && !load_pdptrs(vcpu, registers.cr3)) {
      return kvm_inject_gp(vcpu);
    }
    if ((cr4 & CR4.VMXE) !== 0) return kvm_inject_gp(vcpu);
    vcpu.log.because('kvm_set_cr4', cr4_names(registers.cr4 ^ cr4) || 'CR4 unchanged');
    registers.cr4 = cr4 >>> 0;
    kvm_mmu_sync_global(vcpu);
    kvm_mmu_reset_context(vcpu);
    return 'done';
  },
  { skipped: done },
);

/** v2.6.29 x86.c kvm_set_cr3:369. The same value again syncs and flushes at once and keeps the root. */
export const kvm_set_cr3 = probe(
  'kvm_set_cr3',
  (vcpu: kvm_vcpu, cr3: number): WriteResult => {
    const { kvm, registers } = vcpu;
    if (cr3 === registers.cr3 && !pdptrs_changed(vcpu)) {
      kvm_mmu_sync_roots(vcpu);
      kvm_mmu_flush_tlb(vcpu);
      return 'done';
    }
    const lo = cr3 >>> 0;
    const hi = Math.floor(cr3 / 2 ** 32);
    if (is_long_mode(vcpu)) {
      if ((lo & CR3_L_MODE_RESERVED_LO) !== 0 || (hi & CR3_L_MODE_RESERVED_HI) !== 0) return kvm_inject_gp(vcpu);
    } else if (is_pae(vcpu)) {
      if ((lo & CR3_PAE_RESERVED_BITS) !== 0) return kvm_inject_gp(vcpu);
      if (is_paging(vcpu) && !load_pdptrs(vcpu, cr3)) return kvm_inject_gp(vcpu);
    }
    if (!kvm.gfn_to_memslot(Math.floor(cr3 / 4096))) return kvm_inject_gp(vcpu);
    vcpu.log.because('kvm_set_cr3', cr3 === registers.cr3 ? 'PDPTRs' : 'CR3');
    registers.cr3 = cr3;
    mmu_new_cr3(vcpu);
    return 'done';
  },
  { skipped: done },
);

/**
 * v2.6.29 x86.c set_efer:468. No context is reset, not even for NX, though every shadow PTE may need another NX bit.
 * The vendor module stores the whole value first, so LMA in shadow_efer becomes what the guest wrote; later kernels
 * keep the old LMA. Guests write LMA back as they read it; what becomes of one that does not is left out: here it stays
 * in long mode.
 */
export const set_efer = probe(
  'set_efer',
  (vcpu: kvm_vcpu, efer: number): WriteResult => {
    if (efer >= 2 ** 32 || (efer & ~efer_allowed(vcpu.kvm)) !== 0) return kvm_inject_gp(vcpu);
    if (is_paging(vcpu) && ((vcpu.shadow_efer ^ efer) & EFER.LME) !== 0) return kvm_inject_gp(vcpu);
    store_efer(vcpu, efer, vcpu.cr0);
    return 'done';
  },
  { skipped: done },
);

/** What KVM_SET_SREGS gives, as far as the MMU goes. */
export interface kvm_sregs {
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

/**
 * v2.6.29 x86.c kvm_arch_vcpu_ioctl_set_sregs:3732. Registers are stored below the setters, then one reset when any
 * differs. Bad PDPTEs are not noticed.
 */
export function kvm_arch_vcpu_ioctl_set_sregs(vcpu: kvm_vcpu, sregs: kvm_sregs): void {
  const { registers } = vcpu;
  const mmu_reset_needed =
    registers.cr3 !== sregs.cr3 ||
    vcpu.shadow_efer !== sregs.efer ||
    vcpu.cr0 !== sregs.cr0 ||
    registers.cr4 !== sregs.cr4;
  vcpu.log.because('kvm_arch_vcpu_ioctl_set_sregs', 'SREGS');
  registers.cr3 = sregs.cr3;
  store_efer(vcpu, sregs.efer, vcpu.cr0);
  set_cr0(vcpu, sregs.cr0);
  vcpu.cr0 = sregs.cr0;
  registers.cr0 = sregs.cr0;
  registers.cr4 = sregs.cr4;
  if (!is_long_mode(vcpu) && is_pae(vcpu)) load_pdptrs(vcpu, registers.cr3);
  if (mmu_reset_needed) kvm_mmu_reset_context(vcpu);
}

/**
 * The reset of a new vCPU. VMX starts it in real mode, for which set_cr0 resets the context (v2.6.29 vmx.c
 * vmx_vcpu_reset); SVM only fills its control block (svm.c init_vmcb).
 */
export function vcpu_reset(vcpu: kvm_vcpu): void {
  const { cr0, efer } = vcpu.registers;
  vcpu.log.because('vmx_vcpu_reset', 'reset');
  set_cr0(vcpu, cr0);
  store_efer(vcpu, efer, cr0);
}

/** v2.6.29 kvm_host.h kvm_inject_gp */
const kvm_inject_gp = probe(
  'kvm_inject_gp',
  ({ kvm }: kvm_vcpu): WriteResult => {
    kvm.vm.counters.injected_gp++;
    return 'gp';
  },
  { skipped: gp },
);

/** a770f6f28b1a mmu.c kvm_mmu_invlpg:2633. The whole TLB goes, whatever the address. */
export const kvm_mmu_invlpg = probe(
  'kvm_mmu_invlpg',
  (vcpu: kvm_vcpu, gva: number): void => {
    mmu_invlpg(vcpu, gva);
    kvm_mmu_flush_tlb(vcpu);
    vcpu.kvm.vm.counters.invlpg++;
  },
  { skipped: undefined },
);

/**
 * a770f6f28b1a mmu.c kvm_mmu_page_fault:2596
 * FAULT_DONE or FAULT_EMULATE; `vcpu.exception` says whether the guest got a #PF.
 */
export const kvm_mmu_page_fault = probe(
  'kvm_mmu_page_fault',
  (vcpu: kvm_vcpu, cr2: number, error_code: number): number => {
    vcpu.exception.pending = false;
    return mmu_page_fault(vcpu, cr2, error_code);
  },
  { skipped: 0 },
);

/** v2.6.29 x86.c vcpu_enter_guest:2933, the part about the MMU, with mmu.h kvm_mmu_reload:46 */
export function vcpu_enter_guest(vcpu: kvm_vcpu): void {
  if (take_request(vcpu, KVM_REQ.MMU_RELOAD)) kvm_mmu_unload(vcpu);
  if (vcpu.mmu.root_hpa === INVALID_PAGE) kvm_mmu_load(vcpu);
  else if (vcpu.new_cr3_seen) vcpu.kvm.vm.counters.new_pgd_hit++;
  vcpu.new_cr3_seen = false;
  if (take_request(vcpu, KVM_REQ.MMU_SYNC)) kvm_mmu_sync_roots(vcpu);
  if (take_request(vcpu, KVM_REQ.TLB_FLUSH)) vcpu.cpu.flushCurrent();
}

function take_request(vcpu: kvm_vcpu, request: number): boolean {
  if ((vcpu.requests & request) === 0) return false;
  vcpu.requests &= ~request;
  return true;
}
