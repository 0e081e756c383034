// SPDX-License-Identifier: GPL-2.0-only
/**
 * 36d9594dfbf2 arch/x86/include/asm/kvm_host.h: the structures the MMU code works on.
 *
 * Left out: everything of struct kvm_vcpu and struct kvm that no MMU function reads; memory caches (allocation does not
 * fail here); gfns[] of a page (a leaf's frame is its gfn, see spte.ts); the PV async page faults.
 */
import type { RoleReads } from '../../src/role/reads.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import type { EventLog } from '../../src/sim/log.ts';
import { Registers } from '../../src/sim/registers.ts';
import type { AddressSpace, Vm } from '../../src/sim/vm.ts';
import { guest_walker } from './guest_walker.ts';
import { type spte_masks, spte_masks_of } from './spte.ts';

/** No root: `INVALID_PAGE`, all ones in C. A valid `hpa` here is the host frame of the root table. */
export const INVALID_PAGE = -1;
/** `cr3` of KVM_MMU_ROOT_INFO_INVALID: all ones in C. */
export const INVALID_CR3 = -1;

export const KVM_MMU_NUM_PREV_ROOTS = 3;
/** Which roots kvm_mmu_free_roots takes: bit 0 the current one, bit 1 + i previous root i. */
export const KVM_MMU_ROOT_CURRENT = 1;
export const KVM_MMU_ROOT_PREVIOUS = (i: number): number => 1 << (1 + i);
/** ~0ul in C: "everything" is told from "each of them". */
export const KVM_MMU_ROOTS_ALL = -1;

/** vcpu.hflags. */
export const HF_GUEST_MASK = 1 << 5;
export const HF_SMM_MASK = 1 << 6;

/** Results of the page fault handlers. */
export const RET_PF_RETRY = 0;
export const RET_PF_EMULATE = 1;
export const RET_PF_INVALID = 2;

/**
 * kvm_host.h:288 union kvm_mmu_role: `as_u64` over the base role (low half) and an extended half that nobody writes
 * yet.
 */
export interface kvm_mmu_role {
  base: number;
  ext: number;
}

/** `cr3` with all its low bits; `hpa` is a host frame, or INVALID_PAGE. */
export interface kvm_mmu_root_info {
  cr3: number;
  hpa: number;
}

/**
 * kvm_host.h:345 struct rsvd_bits_validate. `rsvd_bits_mask[bit7][level - 1]` as u32 pairs: low half at
 * `(bit7 * 5 + level - 1) * 2`, high half after it. `bad_mt_xwr` is a 64-bit set indexed by entry bits 5:0.
 */
export class rsvd_bits_validate {
  readonly rsvd_bits_mask = new Uint32Array(20);
  readonly bad_mt_xwr = new Uint32Array(2);
}

export type page_fault_handler =
  | 'none'
  | 'nonpaging_page_fault'
  | 'paging64_page_fault'
  | 'paging32_page_fault'
  | 'ept_page_fault'
  | 'tdp_page_fault';
export type gva_to_gpa_handler =
  | 'none'
  | 'nonpaging_gva_to_gpa'
  | 'paging64_gva_to_gpa'
  | 'paging32_gva_to_gpa'
  | 'ept_gva_to_gpa'
  | 'nonpaging_gva_to_gpa_nested'
  | 'paging64_gva_to_gpa_nested'
  | 'paging32_gva_to_gpa_nested';
export type sync_page_handler =
  | 'none'
  | 'nonpaging_sync_page'
  | 'paging64_sync_page'
  | 'paging32_sync_page'
  | 'ept_sync_page';
export type invlpg_handler = 'none' | 'nonpaging_invlpg' | 'paging64_invlpg' | 'paging32_invlpg' | 'ept_invlpg';
export type update_pte_handler =
  | 'none'
  | 'nonpaging_update_pte'
  | 'paging64_update_pte'
  | 'paging32_update_pte'
  | 'ept_update_pte';

/** kvm_host.h:365 struct kvm_mmu. Handlers are kept by name; the tables of functions are in mmu_handlers.ts. */
export class kvm_mmu {
  readonly name: 'root_mmu' | 'guest_mmu' | 'nested_mmu';
  readonly reads: RoleReads | null;
  /** Which register the guest's table pointer is: CR3, or L1's EPTP or nested CR3. */
  get_cr3: 'none' | 'get_cr3' | 'nested_ept_get_cr3' | 'nested_svm_get_tdp_cr3' = 'none';
  get_pdptr: 'none' | 'kvm_pdptr_read' | 'nested_svm_get_tdp_pdptr' = 'none';
  page_fault: page_fault_handler = 'none';
  inject_page_fault: 'none' | 'kvm_inject_page_fault' | 'nested_ept_inject_page_fault' | 'nested_svm_inject_npf_exit' =
    'none';
  gva_to_gpa: gva_to_gpa_handler = 'none';
  sync_page: sync_page_handler = 'none';
  invlpg: invlpg_handler = 'none';
  update_pte: update_pte_handler = 'none';
  root_hpa = INVALID_PAGE;
  readonly mmu_role: kvm_mmu_role = { base: 0, ext: 0 };
  /** Levels of the guest's tables, 0 without paging. */
  root_level = 0;
  /** Levels of the tables hardware walks. */
  shadow_root_level = 0;
  ept_ad = false;
  direct_map = false;
  prev_roots: kvm_mmu_root_info[] = [0, 1, 2].map(() => ({ cr3: INVALID_CR3, hpa: INVALID_PAGE }));
  /** The four PAE roots: host frame, 0 for an absent PDPTE, INVALID_PAGE. Null where alloc_mmu_pages gives none. */
  pae_root: number[] | null = null;
  /** Table that hardware walks for `pae_root`: id in the page store. */
  pae_root_table = 0;
  /** Byte i: page-fault code bits 4:1 equal i; bit a of it: access rights a fault. */
  readonly permissions = new Uint8Array(16);
  pkru_mask = 0;
  readonly shadow_zero_check = new rsvd_bits_validate();
  readonly guest_rsvd_check = new rsvd_bits_validate();
  /** Large pages exist below this level. */
  last_nonleaf_level = 0;
  nx = false;
  /** PDPTEs as KVM cached them, u32 pairs. */
  readonly pdptrs = new Int32Array(8);

  constructor(name: kvm_mmu['name'], reads: RoleReads | null) {
    this.name = name;
    this.reads = reads;
  }
}

/** One shadow page for the role accessors: `struct kvm_mmu_page *sp`. */
export interface kvm_mmu_page {
  readonly kvm: kvm;
  readonly id: number;
  readonly reads: RoleReads | null;
}

/** What this port keeps of struct kvm. */
export class kvm {
  readonly vm: Vm;
  readonly vcpus: kvm_vcpu[] = [];
  readonly masks: spte_masks;
  /** Generation of the page tables; a page of another one is obsolete. */
  mmu_valid_gen = 0;
  indirect_shadow_pages = 0;
  n_used_mmu_pages = 0;
  tlbs_dirty = 0;
  readonly zapped_obsolete_pages: number[] = [];
  /** `struct kvm_vm_stat` where the shared counters mean something else. */
  readonly stat = { mmu_pte_write: 0 };
  readonly #pages: kvm_mmu_page[] = [];

  constructor(vm: Vm) {
    this.vm = vm;
    this.masks = spte_masks_of(vm.host);
  }

  /** The owner that the role accessors of a page want, made once a page id. */
  page(id: number): kvm_mmu_page {
    const known = this.#pages[id];
    if (known !== undefined) return known;
    const page = { kvm: this, id, reads: this.vm.reads };
    this.#pages[id] = page;
    return page;
  }
}

/** Requests that concern the MMU, as bits of `kvm_vcpu.requests`; in the kernel's order of numbers. */
export const KVM_REQ = {
  TLB_FLUSH: 1 << 0,
  MMU_RELOAD: 1 << 1,
  TRIPLE_FAULT: 1 << 2,
  MMU_SYNC: 1 << 3,
  LOAD_CR3: 1 << 4,
} as const;

/** struct x86_exception, as far as a page fault fills it. */
export interface x86_exception {
  error_code: number;
  address: number;
  /** The fault is one of L1's nested tables. */
  nested_page_fault: boolean;
}

/** What KVM keeps of L1 while L2 runs (vmcs01/hsave), and of the L2 run (vmcs12/vmcb12). */
export interface nested_state {
  /** L1's registers, which the exit to L1 restores. */
  readonly l1: Registers;
  /** L1's EPTP or nested CR3 while L2 runs on it, null without two-dimensional paging. */
  pointer: number | null;
  last_vpid: number;
  vpid: number;
  /** What runs again after RSM: L2 was interrupted by an SMI. */
  smm: { readonly pointer: number | null; readonly tag: number; readonly l2: Registers } | null;
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
  hflags = 0;
  /** VMX without unrestricted guest: real mode runs as virtual-8086 mode. */
  vm86_active = false;
  /** VCPU_EXREG_PDPTR in regs_avail: the cached PDPTEs are the ones in force. A reset sets all of regs_avail. */
  pdptr_avail = true;
  exit_qualification = 0;
  readonly nested: nested_state = { l1: new Registers(), pointer: null, last_vpid: 0, vpid: 0, smm: null };
  /** Registers as the SMI saved them. */
  readonly smram = new Registers();
  /**
   * Walks of the MMU in use; walks of L2's own tables, which run the first for every table they meet; an entry read.
   */
  readonly walker = new guest_walker();
  readonly nested_walker = new guest_walker();
  readonly gpte = { lo: 0, hi: 0 };
  /** The fault that a guest walk ended with. */
  readonly fault: x86_exception = { error_code: 0, address: 0, nested_page_fault: false };
  /** The last #PF handed to the guest, and how many there were. */
  readonly injected = { errorCode: 0, address: 0 };
  faults_injected = 0;
  /**
   * vcpu->arch.last_retry_eip and last_retry_addr: the instruction and the address of the last fault that was answered by
   * unprotecting a table; and of the present one, whether it may be (EMULTYPE_ALLOW_RETRY_PF), and its address.
   */
  readonly retry = { last_eip: -1, last_addr: -1, allowed: false, cr2_or_gpa: -1 };
  /** A kvm_mmu_new_cr3 since the last guest entry, of which it is not yet known whether a load follows. */
  new_cr3_pending = false;

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
  }
}

/** v4.20 include/linux/kvm_host.h kvm_vcpu_memslots: guest memory as the vCPU sees it now, in SMM or not. */
export const kvm_vcpu_memslots = ({ kvm, hflags }: kvm_vcpu): AddressSpace =>
  kvm.vm.addressSpaces[(hflags & HF_SMM_MASK) !== 0 ? 1 : 0];
