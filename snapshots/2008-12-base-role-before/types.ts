// SPDX-License-Identifier: GPL-2.0-only
import type { RoleReads } from '../../src/role/reads.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import type { EventLog } from '../../src/sim/log.ts';
import type { Registers } from '../../src/sim/registers.ts';
import type { Vm } from '../../src/sim/vm.ts';
import { type spte_format, spte_format_of } from './spte_format.ts';

/** No root: `INVALID_PAGE`, all ones in C. A valid `root_hpa` here is the host frame of the root table. */
export const INVALID_PAGE = -1;
/** No translation: `UNMAPPED_GVA`, all ones in C. */
export const UNMAPPED_GVA = -1;
/** `u64 *spte == NULL`. A shadow PTE is addressed as `page id * 512 + index` in place of a pointer. */
export const NO_SPTE = -1;

export type new_cr3_handler = 'nonpaging_new_cr3' | 'paging_new_cr3';
export type page_fault_handler =
  | 'nonpaging_page_fault'
  | 'paging64_page_fault'
  | 'paging32_page_fault'
  | 'tdp_page_fault';
export type gva_to_gpa_handler = 'nonpaging_gva_to_gpa' | 'paging64_gva_to_gpa' | 'paging32_gva_to_gpa';
export type prefetch_page_handler = 'nonpaging_prefetch_page' | 'paging64_prefetch_page' | 'paging32_prefetch_page';
export type sync_page_handler = 'nonpaging_sync_page' | 'paging64_sync_page' | 'paging32_sync_page';
export type invlpg_handler = 'nonpaging_invlpg' | 'paging64_invlpg' | 'paging32_invlpg';

/** v2.6.29 kvm_host.h struct kvm_mmu. Handlers are kept by name; the functions are in mmu_fault.ts. */
export class kvm_mmu {
  readonly reads: RoleReads | null;
  new_cr3: new_cr3_handler = 'nonpaging_new_cr3';
  page_fault: page_fault_handler = 'nonpaging_page_fault';
  gva_to_gpa: gva_to_gpa_handler = 'nonpaging_gva_to_gpa';
  prefetch_page: prefetch_page_handler = 'nonpaging_prefetch_page';
  sync_page: sync_page_handler = 'nonpaging_sync_page';
  invlpg: invlpg_handler = 'nonpaging_invlpg';
  /** Host frame of the root table: a shadow page, or pae_root. */
  root_hpa = INVALID_PAGE;
  /** Levels of the guest's tables: 0 without paging, 2, 3 or 4. */
  root_level = 0;
  /** Levels of the tables hardware walks: 3 or 4. */
  shadow_root_level = 0;
  /** Id of the headerless table with the four PAE slots. */
  readonly pae_root: number;

  constructor(vm: Vm) {
    this.reads = vm.reads;
    this.pae_root = vm.pages.createSpecial();
  }
}

/** One shadow page for the role accessors: `struct kvm_mmu_page *sp`. */
export interface shadow_page {
  readonly kvm: kvm;
  readonly id: number;
  readonly reads: RoleReads | null;
}

/** What this port keeps of struct kvm and of the module's variables. */
export class kvm {
  readonly vm: Vm;
  readonly vcpus: kvm_vcpu[] = [];
  /** The shadow_*_mask variables and the two non-present values: one host has one set. */
  readonly spte: spte_format;
  /** Unsync pages whose entries are all global, latest first, as page ids. */
  readonly oos_global_pages: number[] = [];
  /** kvm->stat: pages that are unsync now, unsync global pages now, large shadow PTEs now. */
  readonly stat = { mmu_unsync: 0, mmu_unsync_global: 0, lpages: 0 };
  readonly #cursor: { readonly kvm: kvm; id: number; readonly reads: RoleReads | null };

  constructor(vm: Vm) {
    this.vm = vm;
    this.spte = spte_format_of(vm.host);
    this.#cursor = { kvm: this, id: 0, reads: vm.reads };
  }

  /** The page for a role accessor; good until the next call. One object serves all pages. */
  sp(id: number): shadow_page {
    this.#cursor.id = id;
    return this.#cursor;
  }

  /** virt/kvm/kvm_main.c gfn_to_memslot: whether a slot covers the frame, one of KVM's own included. */
  gfn_to_memslot(gfn: number): boolean {
    return this.vm.memslots.isBacked(gfn);
  }
}

/** Requests that concern the MMU, as bits of `kvm_vcpu.requests`. */
export const KVM_REQ = { TLB_FLUSH: 1 << 0, MMU_RELOAD: 1 << 1, MMU_SYNC: 1 << 2 } as const;

/** v2.6.29 paging_tmpl.h:66 struct guest_walker. Arrays are indexed by level - 1; entries are u32 pairs. */
export class guest_walker {
  level = 0;
  readonly table_gfn = new Float64Array(4);
  readonly pte_gpa = new Float64Array(4);
  readonly ptes_lo = new Int32Array(4);
  readonly ptes_hi = new Int32Array(4);
  pt_access = 0;
  pte_access = 0;
  gfn = 0;
  error_code = 0;
}

/** What this port keeps of struct kvm_vcpu. */
export class kvm_vcpu {
  readonly kvm: kvm;
  readonly log: EventLog;
  /** Registers in force, L2's while L2 runs; `pdptes` are the cached PDPTRs. */
  readonly registers: Registers;
  readonly cpu: Cpu;
  readonly mmu: kvm_mmu;
  readonly walker = new guest_walker();
  /** arch.cr0: KVM's copy. With nested paging CR0 is written without an exit and this lags until the next one. */
  cr0: number;
  /** arch.shadow_efer: differs from the register in LMA alone, see set_efer. */
  shadow_efer: number;
  requests = 0;
  /** arch.update_pte: the page guessed from a guest PTE write. `valid` = the pfn is not bad_pfn. */
  readonly update_pte = { gfn: 0, valid: false, largepage: false };
  /** Flood detector of the vCPU: last page written to, how often in a row, last shadow PTE set ahead of use. */
  last_pt_write_gfn = 0;
  last_pt_write_count = 0;
  last_pte_updated = NO_SPTE;
  last_pte_gfn = 0;
  /** arch.exception, where it is a page fault. */
  readonly exception = { pending: false, error_code: 0, cr2: 0 };
  /** VMX: the guest is in real mode, run as virtual-8086. */
  rmode_active = false;
  /** SVM: L1's state while L2 runs, null outside. */
  hsave: { readonly cr0: number; readonly cr3: number; readonly cr4: number; readonly efer: number } | null = null;
  /** A new CR3 was announced to the MMU since the last guest entry. */
  new_cr3_seen = false;

  constructor(kvm: kvm, registers: Registers, cpu: Cpu) {
    this.kvm = kvm;
    this.log = kvm.vm.log;
    this.registers = registers;
    this.cpu = cpu;
    this.mmu = new kvm_mmu(kvm.vm);
    this.cr0 = registers.cr0;
    this.shadow_efer = registers.efer;
  }
}
