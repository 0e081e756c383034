// SPDX-License-Identifier: GPL-2.0-only
import type { RoleReads } from '../../src/role/reads.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import type { EventLog } from '../../src/sim/log.ts';
import { Registers } from '../../src/sim/registers.ts';
import type { Vm } from '../../src/sim/vm.ts';
import type { paging_format } from './masks.ts';

/** No root: `INVALID_PAGE`, all ones in C. A valid `hpa` here is the host frame of the root table. */
export const INVALID_PAGE = -1;
/** "No pgd": all ones in C. */
export const INVALID_PGD = -1;

/** v6.1.192 arch/x86/include/asm/kvm_host.h union kvm_cpu_role: base in the low half, ext in the high half. */
export interface kvm_cpu_role {
  base: number;
  ext: number;
}

/** `pgd` keeps its PCID bits; direct MMUs store 0. `hpa` is a host frame, or INVALID_PAGE. */
export interface kvm_mmu_root_info {
  pgd: number;
  hpa: number;
}

/**
 * v6.1.192 kvm_host.h struct rsvd_bits_validate. `rsvd_bits_mask[bit7][level - 1]` as u32 pairs: low half at
 * `(bit7 * 5 + level - 1) * 2`, high half after it. `bad_mt_xwr` is a 64-bit set indexed by entry bits 5:0.
 */
export class rsvd_bits_validate {
  readonly rsvd_bits_mask = new Uint32Array(20);
  readonly bad_mt_xwr = new Uint32Array(2);
  /** What the masks stand for, null for EPT's; not in C. */
  format: paging_format | null = null;
}

export type page_fault_handler =
  | 'none'
  | 'nonpaging_page_fault'
  | 'paging64_page_fault'
  | 'paging32_page_fault'
  | 'ept_page_fault'
  | 'kvm_tdp_page_fault';
export type gva_to_gpa_handler =
  | 'none'
  | 'nonpaging_gva_to_gpa'
  | 'paging64_gva_to_gpa'
  | 'paging32_gva_to_gpa'
  | 'ept_gva_to_gpa';
export type sync_page_handler =
  | 'none'
  | 'nonpaging_sync_page'
  | 'paging64_sync_page'
  | 'paging32_sync_page'
  | 'ept_sync_page';
export type invlpg_handler = 'none' | 'paging64_invlpg' | 'paging32_invlpg' | 'ept_invlpg';

/** v6.1.192 kvm_host.h struct kvm_mmu. Handlers are kept by name; the tables of functions are in mmu_fault.ts. */
export class kvm_mmu {
  readonly name: 'root_mmu' | 'guest_mmu' | 'nested_mmu';
  readonly reads: RoleReads | null;
  readonly cpu_role: kvm_cpu_role = { base: 0, ext: 0 };
  /** kvm_mmu_page_role: u32, no extended half. */
  root_role = 0;
  root: kvm_mmu_root_info = { pgd: 0, hpa: INVALID_PAGE };
  prev_roots: kvm_mmu_root_info[] = [0, 1, 2].map(() => ({ pgd: INVALID_PGD, hpa: INVALID_PAGE }));
  page_fault: page_fault_handler = 'none';
  gva_to_gpa: gva_to_gpa_handler = 'none';
  sync_page: sync_page_handler = 'none';
  invlpg: invlpg_handler = 'none';
  /** Which register the guest's table pointer is: CR3, or L1's EPTP or nested CR3. */
  get_guest_pgd: 'get_guest_cr3' | 'nested_ept_get_eptp' | 'nested_svm_get_tdp_cr3' = 'get_guest_cr3';
  pkru_mask = 0;
  /** Byte i: page-fault code bits 4:1 equal i; bit a of it: access rights a fault. */
  readonly permissions = new Uint8Array(16);
  readonly shadow_zero_check = new rsvd_bits_validate();
  readonly guest_rsvd_check = new rsvd_bits_validate();
  /** PDPTEs as KVM cached them, u32 pairs. */
  readonly pdptrs = new Int32Array(8);
  /** Tables without a header, as ids of the page store, 0 while not allocated. */
  pae_root = 0;
  pml4_root = 0;
  pml5_root = 0;

  constructor(name: kvm_mmu['name'], reads: RoleReads | null) {
    this.name = name;
    this.reads = reads;
  }
}

/** What this port keeps of struct kvm. */
export class kvm {
  readonly vm: Vm;
  readonly log: EventLog;
  readonly vcpus: kvm_vcpu[] = [];
  /** 0 or 1, toggled when every page becomes obsolete. */
  mmu_valid_gen = 0;
  indirect_shadow_pages = 0;
  /** Roots of the TDP MMU, newest first, as page ids; reference counts are the pages' root counts. */
  readonly tdp_mmu_roots: number[] = [];
  /** Invalid roots that were emptied already: the mark tdp_mmu_scheduled_root_to_zap, the other way round. */
  readonly tdp_mmu_zapped_roots = new Set<number>();
  /** kvm_arch_has_noncoherent_dma: a device is assigned whose DMA does not snoop caches. */
  noncoherent_dma = false;

  constructor(vm: Vm) {
    this.vm = vm;
    this.log = vm.log;
  }
}

/** Requests of this era that concern the MMU, as bits of `kvm_vcpu.requests`. */
export const KVM_REQ = {
  MMU_FREE_OBSOLETE_ROOTS: 1 << 0,
  MMU_SYNC: 1 << 1,
  LOAD_MMU_PGD: 1 << 2,
  TLB_FLUSH: 1 << 3,
  TLB_FLUSH_CURRENT: 1 << 4,
  TLB_FLUSH_GUEST: 1 << 5,
  TRIPLE_FAULT: 1 << 6,
} as const;

/** v6.1.192 arch/x86/kvm/kvm_emulate.h struct x86_exception: a page fault to hand to the guest. */
export interface x86_exception {
  error_code: number;
  address: number;
  /** The fault is one of L1's nested tables: it becomes a nested page fault or EPT violation of L1, not a #PF. */
  nested_page_fault: boolean;
}

/**
 * v6.1.192 arch/x86/kvm/mmu/paging_tmpl.h struct guest_walker: what a walk of the guest's tables found. Entries and
 * tables stand at `level - 1`. Kept with the vCPU and refilled by every walk, so that a page fault allocates nothing.
 */
export class guest_walker {
  level = 0;
  max_level = 0;
  /** A plain array: frame numbers stay small integers in it as long as they are. */
  readonly table_gfn = [0, 0, 0, 0, 0];
  readonly ptes_lo = new Int32Array(5);
  readonly ptes_hi = new Int32Array(5);
  /** Where the entry is: its first word in `PhysicalMemory.words`. */
  readonly ptep_user = new Int32Array(5);
  readonly pt_access = new Uint8Array(5);
  pte_access = 0;
  gfn = 0;
  readonly fault: x86_exception = { error_code: 0, address: 0, nested_page_fault: false };
}

/** What the vendor modules keep for L2 and SMM: vmcs12 or vmcb12 as far as it matters, and the SMRAM save area. */
export class nested_state {
  /** L1's registers while L2 runs: the host state of vmcs12, or vmcb01. */
  readonly l1 = new Registers();
  /** L2's registers since its last exit: the guest state of vmcs12, or vmcb12. */
  readonly l2 = new Registers();
  /** L1 gives L2 nested paging: EPT or NPT. */
  uses_tdp = false;
  /** VPID of vmcs12, or ASID of vmcb12, 0 for none; and the one of the last VM entry (vmx->nested.last_vpid). */
  vpid = 0;
  last_vpid = 0;
  /** KVM has a VPID of its own for L2 (vmx->nested.vpid02). */
  has_vpid02 = true;
  /** The SMRAM save area, and whether the SMI came while L2 ran. */
  readonly smram = new Registers();
  smi_in_guest_mode = false;
}

/** What this port keeps of struct kvm_vcpu. */
export class kvm_vcpu {
  readonly kvm: kvm;
  readonly log: EventLog;
  /** Registers in force, L2's while in guest mode. */
  readonly registers: Registers;
  readonly cpu: Cpu;
  readonly root_mmu: kvm_mmu;
  readonly guest_mmu: kvm_mmu;
  readonly nested_mmu: kvm_mmu;
  /** The MMU the vCPU translates with: root_mmu or guest_mmu. */
  mmu: kvm_mmu;
  /** The MMU whose guest tables the emulator walks: root_mmu, or nested_mmu while L2 runs on nested paging. */
  walk_mmu: kvm_mmu;
  requests = 0;
  is_smm = false;
  is_guest_mode = false;
  /** Valid bits of guest-physical addresses end below this (CPUID MAXPHYADDR). */
  maxphyaddr: number;
  /** L1's nested table pointer (EPTP or nested CR3) while L2 runs on it. */
  nested_pgd = 0;
  readonly nested = new nested_state();
  /** Function and register bits that decided last on this vCPU's roots, for the log. */
  reason: { readonly by: string; readonly bits: string } = { by: '', bits: '' };
  /** Who asked for the roots to be dropped at the next entry; null: a page used as root was zapped. */
  drop_reason: { readonly by: string; readonly bits: string } | null = null;
  /** kvm_mmu_new_pgd ran since the last guest entry, and no kvm_mmu_load has followed yet. */
  new_pgd_pending = false;
  /** The walker of the guest's tables, and that of L1's nested tables, which the first may need for every table. */
  readonly walker = new guest_walker();
  readonly nested_walker = new guest_walker();
  /** The last page fault that KVM injected (inject_page_fault), and whether it was in this exit. */
  exception_pending = false;
  /**
   * vcpu->arch.last_retry_eip and last_retry_addr: the instruction and the address of the last fault that was answered by
   * unprotecting a table; and of the present one, whether it may be (EMULTYPE_ALLOW_RETRY_PF), and its address.
   */
  readonly retry = { last_eip: -1, last_addr: -1, allowed: false, cr2_or_gpa: -1 };
  readonly injected: x86_exception = { error_code: 0, address: 0, nested_page_fault: false };
  /** The SPTE that make_spte built last: the u64 it returns through a pointer in C. */
  readonly new_spte = { lo: 0, hi: 0 };

  constructor(kvm: kvm, registers: Registers, cpu: Cpu) {
    const { vm } = kvm;
    this.kvm = kvm;
    this.log = vm.log;
    this.registers = registers;
    this.cpu = cpu;
    this.root_mmu = new kvm_mmu('root_mmu', vm.reads);
    this.guest_mmu = new kvm_mmu('guest_mmu', vm.reads);
    this.nested_mmu = new kvm_mmu('nested_mmu', vm.reads);
    this.mmu = this.root_mmu;
    this.walk_mmu = this.root_mmu;
    this.maxphyaddr = vm.host.cpuid.maxPhyAddr;
  }
}
