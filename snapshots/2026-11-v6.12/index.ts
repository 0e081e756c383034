// SPDX-License-Identifier: GPL-2.0-only
/**
 * Port of KVM's x86 MMU as Debian ships it in linux 6.12.117-1 (November 2026). 6.16.12 and 6.18.15 are the same but for
 * what `differences` names. New since v6.1.192: SPTEs are synced one by one, also for INVLPG; a root outside the guest's
 * memory is a page of zeros and no triple fault; CR0.WP without paging does nothing; an event that is delivered again
 * unprotects a table only when its delivery writes one.
 *
 * What leaves the guest at all is decided here, after v6.12.117 arch/x86/kvm/vmx/vmx.c and svm/svm.c. Left out:
 * intercepts that L1 asks for while L2 runs (L2's exits all go to L0), and instructions that KVM emulates for reasons
 * other than paging.
 */
import type {
  Era,
  EraVcpu,
  EraView,
  EraVm,
  FaultExit,
  FaultOutcome,
  NestedEntry,
  RootView,
  WriteResult,
} from '../../src/era.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import { PFEC } from '../../src/sim/paging-bits.ts';
import { CR0, CR4, type Registers } from '../../src/sim/registers.ts';
import type { Vm } from '../../src/sim/vm.ts';
import { kvm_init_mmu, kvm_mmu_after_set_cpuid } from './calc.ts';
import {
  gva_to_gpa,
  kvm_inject_emulated_page_fault,
  kvm_mmu_invlpg,
  kvm_mmu_page_fault,
  REFUSES_VECTORING,
  retry_instruction,
} from './mmu_fault.ts';
import { KEEPS_ANY_CHILD, kvm_mmu_track_write, kvm_mmu_zap_all, kvm_mmu_zap_all_fast } from './mmu_pages.ts';
import { __kvm_mmu_create, kvm_mmu_unload, to_shadow_page } from './mmu_roots.ts';
import { enter_svm_guest_mode, nested_svm_vmexit } from './nested_svm.ts';
import { nested_vmx_enter_non_root_mode, nested_vmx_vmexit } from './nested_vmx.ts';
import { kvm_mmu_extended_role, kvm_mmu_page_role } from './role.ts';
import { emulator_leave_smm, enter_smm } from './smm.ts';
import { ACCESSED_BY_KVM } from './spte.ts';
import { kvm_mmu_uninit_tdp_mmu } from './tdp_mmu.ts';
import { kvm_mmu_page_role_text } from './trace.ts';
import { INVALID_PAGE, kvm, type kvm_mmu, kvm_vcpu } from './types.ts';
import { vectors } from './vectors.ts';
import {
  __set_sregs,
  because,
  kvm_handle_invpcid,
  kvm_set_cr0,
  kvm_set_cr3,
  kvm_set_cr4,
  kvm_vcpu_reset,
  set_efer,
  vcpu_enter_guest,
} from './x86.ts';

/** `level` of a page role. */
const LEVEL = 0xf;
const CR0_MP = 1 << 1;
const CR0_TS = 1 << 3;

/**
 * v6.12.117 kvm_cache_regs.h KVM_POSSIBLE_CR0_GUEST_BITS: the guest's own under VMX. WP is one since fb509f76acc8 (v6.4,
 * which this kernel has), with EPT only.
 */
const KVM_POSSIBLE_CR0_GUEST_BITS = CR0_TS | CR0.WP;
/**
 * v6.12.117 kvm_cache_regs.h KVM_POSSIBLE_CR4_GUEST_BITS: PVI TSD DE PGE PCE OSFXSR OSXMMEXCPT FSGSBASE; PGE with
 * EPT only.
 */
const KVM_POSSIBLE_CR4_GUEST_BITS = 0x0001078e;

/** 6.16 and later: kvm_arch_vcpu_create processes the (empty) CPUID. */
const CPUID_AT_CREATION = 'cpuid-at-creation';

class Vcpu implements EraVcpu {
  readonly registers: Registers;
  readonly view: EraView;
  /**
   * v6.12.117 svm/svm.c svm_skip_emulated_instruction: without NRIPS the emulator steps over the instruction, and reads it.
   */
  readonly knowsLengths = false;
  /** v4.13 and later, x86.c emulator_read_write_onepage: gpa_available. */
  readonly knowsFaultAddress = true;
  /** SVM does since 7e5b5ef8dca3 (v6.0). */
  readonly reinjectsSoftwareInterrupts = true;
  readonly #vcpu: kvm_vcpu;
  readonly #tdp: boolean;
  readonly #vmx: boolean;

  constructor(vcpu: kvm_vcpu) {
    this.#vcpu = vcpu;
    this.registers = vcpu.registers;
    this.view = view_of(vcpu);
    const { host } = vcpu.kvm.vm;
    this.#tdp = host.tdp !== 'none';
    this.#vmx = host.vendor === 'vmx';
  }

  get injected(): EraVcpu['injected'] {
    const { error_code, address } = this.#vcpu.injected;
    return { errorCode: error_code, address };
  }

  /** v6.12.117 cpuid.c kvm_vcpu_after_set_cpuid */
  setCpuid(): void {
    kvm_mmu_after_set_cpuid(this.#vcpu);
  }

  setSregs(): void {
    __set_sregs(this.#vcpu, this.registers);
  }

  enter(): 'entered' | 'shutdown' {
    return vcpu_enter_guest(this.#vcpu) ? 'entered' : 'shutdown';
  }

  /**
   * VMX: a write exits when it changes a bit that the host owns. SVM: CR4 and EFER always exit; CR0 when anything but
   * TS and MP changes, or whenever hardware's CR0 is not the guest's (svm_set_cr0). CR3 exits under shadow paging
   * alone.
   */
  intercepts(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: number): boolean {
    const { cr0, cr4 } = this.registers;
    switch (register) {
      case 'cr0':
        if (this.#vmx) return ((value ^ cr0) & ~this.#vmx_guest_owned_cr0_bits()) !== 0;
        return this.#svm_hardware_cr0() !== cr0 || ((value ^ cr0) & ~(CR0_TS | CR0_MP)) !== 0;
      case 'cr3':
        return !this.#tdp;
      case 'cr4': {
        const owned = this.#tdp ? KVM_POSSIBLE_CR4_GUEST_BITS : KVM_POSSIBLE_CR4_GUEST_BITS & ~CR4.PGE;
        return !this.#vmx || ((value ^ cr4) & ~owned) !== 0;
      }
      case 'efer':
        return true;
    }
  }

  /** v6.12.117 svm.c svm_set_cr0: caches stay on (KVM_X86_QUIRK_CD_NW_CLEARED); without NPT paging and WP do too. */
  #svm_hardware_cr0(): number {
    const { cr0 } = this.registers;
    return ((this.#tdp ? cr0 : cr0 | CR0.PG | CR0.WP) & ~(CR0.CD | CR0.NW)) >>> 0;
  }

  /** v6.12.117 vmx/vmx.h vmx_l1_guest_owned_cr0_bits */
  #vmx_guest_owned_cr0_bits(): number {
    return this.#tdp ? KVM_POSSIBLE_CR0_GUEST_BITS : KVM_POSSIBLE_CR0_GUEST_BITS & ~CR0.WP;
  }

  /**
   * v6.12.117 vmx/vmx.c enter_rmode, rmode_segment_valid: without EPT there is no unrestricted guest. Real mode runs as
   * virtual-8086 mode while its segments look like real mode's; those of SMM do not, so its handler is emulated.
   */
  execution(): 'native' | 'vm86' | 'emulated' {
    if (!this.#vmx || this.#tdp || (this.registers.cr0 & CR0.PE) !== 0) return 'native';
    return this.#vcpu.is_smm ? 'emulated' : 'vm86';
  }

  interceptsInvalidation(): boolean {
    return !this.#tdp;
  }

  /** v6.12.117 vmx/vmx.h vmx_need_pf_intercept, svm/svm.c init_vmcb: every #PF without TDP. */
  interceptsPageFault(): boolean {
    return !this.#tdp;
  }

  writeCr0(value: number): WriteResult {
    return this.#counted(kvm_set_cr0(this.#vcpu, value));
  }

  writeCr3(value: number, noflush: boolean): WriteResult {
    return this.#counted(kvm_set_cr3(this.#vcpu, value, noflush));
  }

  writeCr4(value: number): WriteResult {
    return this.#counted(kvm_set_cr4(this.#vcpu, value));
  }

  writeEfer(value: number): WriteResult {
    return this.#counted(set_efer(this.#vcpu, value, false));
  }

  invlpg(gva: number): void {
    kvm_mmu_invlpg(this.#vcpu, gva);
  }

  invpcid(type: number, pcid: number, gva: number): WriteResult {
    return this.#counted(kvm_handle_invpcid(this.#vcpu, type, pcid, gva));
  }

  #counted(result: WriteResult): WriteResult {
    if (result === 'gp') this.#vcpu.kvm.vm.counters.injected_gp++;
    return result;
  }

  fault(exit: FaultExit): FaultOutcome {
    return kvm_mmu_page_fault(this.#vcpu, exit);
  }

  retriesInstruction(instruction: number): boolean {
    return retry_instruction(this.#vcpu, instruction);
  }

  /** v6.12.117 x86.c kvm_mmu_gva_to_gpa_read and its kin. */
  translate(gva: number, access: 'read' | 'write' | 'fetch', user: boolean): number {
    const vcpu = this.#vcpu;
    const what = access === 'write' ? PFEC.W : access === 'fetch' ? PFEC.ID : 0;
    const gpa = gva_to_gpa(vcpu, vcpu.walk_mmu, gva, what | (user ? PFEC.U : 0));
    if (gpa < 0) kvm_inject_emulated_page_fault(vcpu, vcpu.walker.fault);
    return gpa;
  }

  /** v6.12.117 x86.c emulator_write_phys, after the store */
  guestWrote(gpa: number, bytes: number): void {
    kvm_mmu_track_write(this.#vcpu, gpa, bytes);
  }

  smi(): void {
    enter_smm(this.#vcpu);
  }

  rsm(): void {
    emulator_leave_smm(this.#vcpu);
  }

  /** L1 is offered nested paging only where the host has it; elsewhere its VMRUN fails at once (VMEXIT_INVALID). */
  vmrun(state: NestedEntry): void {
    if (state.pointer === null || this.#tdp) enter_svm_guest_mode(this.#vcpu, state, true);
  }

  vmexit(): void {
    if (this.#vcpu.is_guest_mode) nested_svm_vmexit(this.#vcpu);
  }

  /** L1 is offered EPT only where the host has it; elsewhere its VM entry fails (invalid control field). */
  vmentry(state: NestedEntry): void {
    if (state.pointer === null || this.#tdp) nested_vmx_enter_non_root_mode(this.#vcpu, state, true);
  }

  nestedVmexit(): void {
    if (this.#vcpu.is_guest_mode) nested_vmx_vmexit(this.#vcpu);
  }
}

function view_of(vcpu: kvm_vcpu): EraView {
  return {
    mmu: () => vcpu.mmu.name,
    roles: () => [
      { base: vcpu.mmu.cpu_role.base, extended: vcpu.mmu.cpu_role.ext },
      { base: vcpu.mmu.root_role, extended: null },
    ],
    guestLevels: () => vcpu.mmu.cpu_role.base & LEVEL,
    hostLevels: () => vcpu.mmu.root_role & LEVEL,
    isSmm: () => vcpu.is_smm,
    isGuestMode: () => vcpu.is_guest_mode,
    root: () => root_of(vcpu.kvm, vcpu.mmu.root.pgd, vcpu.mmu.root.hpa),
    previousRoots: () => vcpu.mmu.prev_roots.map(({ pgd, hpa }) => root_of(vcpu.kvm, pgd, hpa)),
  };
}

function root_of(owner: kvm, pgd: number, hpa: number): RootView | null {
  if (hpa === INVALID_PAGE) return null;
  const sp = to_shadow_page(owner, hpa);
  return { pgd, frame: hpa, role: sp === 0 ? null : owner.vm.pages.role[sp]! };
}

/** v6.12.117 x86.c kvm_arch_vcpu_create, mmu.c kvm_mmu_create. */
function create_vcpu(owner: kvm, registers: Registers, cpu: Cpu): kvm_vcpu {
  const vcpu = new kvm_vcpu(owner, registers, cpu);
  owner.vcpus.push(vcpu);
  const contexts: readonly kvm_mmu[] = [vcpu.root_mmu, vcpu.guest_mmu];
  for (const mmu of contexts) __kvm_mmu_create(vcpu, mmu);
  if (owner.vm.differences.has(CPUID_AT_CREATION)) kvm_mmu_after_set_cpuid(vcpu);
  kvm_vcpu_reset(vcpu, false);
  kvm_init_mmu(vcpu);
  return vcpu;
}

/**
 * v6.12.117 vmx/vmx.c vmx_set_tss_addr: three pages in a slot of KVM's own, in both address spaces, for virtual-8086
 * mode. SVM and, with EPT, unrestricted guests have no use for them.
 */
function set_tss_addr({ vm }: kvm, address: number): void {
  if (vm.host.vendor !== 'vmx' || vm.host.tdp !== 'none') return;
  for (const { memslots } of vm.addressSpaces) memslots.addPrivate(Math.floor(address / 4096), 3);
}

/**
 * v6.12.117 virt/kvm/kvm_main.c kvm_destroy_vm: the memory goes first (kvm_arch_flush_shadow_all), then every vCPU lets
 * go of its roots (kvm_arch_destroy_vm, and once more kvm_mmu_destroy), then the TDP MMU does.
 */
function destroy_vm(owner: kvm): void {
  kvm_mmu_zap_all(owner);
  for (const vcpu of owner.vcpus) kvm_mmu_unload(vcpu);
  for (const vcpu of owner.vcpus) kvm_mmu_unload(vcpu);
  if (owner.vm.host.tdpMmu) kvm_mmu_uninit_tdp_mmu(owner);
}

/** v6.12.117 mmu.c kvm_arch_flush_shadow_memslot */
function memslots_changed(owner: kvm): void {
  for (const vcpu of owner.vcpus) {
    vcpu.drop_reason = { by: 'kvm_mmu_zap_all_fast', bits: 'memslot' };
    because(vcpu, 'kvm_mmu_zap_all_fast', 'memslot');
  }
  kvm_mmu_zap_all_fast(owner);
}

function create(vm: Vm): EraVm {
  const owner = new kvm(vm);
  return {
    createVcpu: (registers, cpu) => new Vcpu(create_vcpu(owner, registers, cpu)),
    memslotsChanged: () => memslots_changed(owner),
    setTssAddress: (address) => set_tss_addr(owner, address),
    destroy: () => destroy_vm(owner),
  };
}

export const era: Era = {
  id: 'v6.12',
  layouts: { page: kvm_mmu_page_role, extended: kvm_mmu_extended_role },
  roleWords: [
    { name: 'cpu_role', extended: true },
    { name: 'root_role', extended: false },
  ],
  modes: [
    { kind: 'shadow', implementation: 'legacy' },
    { kind: 'npt', implementation: 'tdp-mmu' },
    { kind: 'npt', implementation: 'legacy' },
    { kind: 'ept', implementation: 'tdp-mmu' },
    { kind: 'ept', implementation: 'legacy' },
  ],
  features: new Set([
    'smm',
    'nested-svm',
    'nested-svm-npt',
    'nested-vmx',
    'nested-vmx-ept',
    'pcid',
    'invpcid',
    'smep',
    'smap',
    'pku',
    'la57',
  ]),
  differences: {
    [CPUID_AT_CREATION]: 'a new vCPU goes through what a change of CPUID does (85e5ba83c016, v6.14)',
    [ACCESSED_BY_KVM]: 'SPTEs are made with accessed, and dirty where writable, also ahead of use (v6.13 and later)',
    [REFUSES_VECTORING]: 'a fault is not emulated while the exit names an event (v6.14)',
    [KEEPS_ANY_CHILD]: 'a table below an entry is kept whatever its frame and role',
  },
  roleText: kvm_mmu_page_role_text,
  create,
  vectors,
};
