// SPDX-License-Identifier: GPL-2.0-only
/**
 * The code just before 36d9594dfbf2 (Oct 2018, on the way to v4.20): the role of a context is a kvm_mmu_page_role,
 * `base_role`. Citations name 36d9594dfbf2 all the same: its text differs in that member's name and the unions only.
 */
import type { Era, EraVcpu, EraView, EraVm, FaultExit, FaultOutcome, NestedEntry, RootView } from '../../src/era.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import type { Registers } from '../../src/sim/registers.ts';
import type { Vm } from '../../src/sim/vm.ts';
import { is_guest_mode, is_smm } from './calc.ts';
import { intercepts, run } from './kvm_x86_ops.ts';
import {
  kvm_mmu_page_fault,
  kvm_mmu_unprotect_page_virt,
  PFERR_FETCH_MASK,
  PFERR_USER_MASK,
  PFERR_WRITE_MASK,
  retry_instruction,
} from './mmu_fault.ts';
import { get_cr3, gva_to_gpa, inject_page_fault, UNMAPPED_GVA } from './mmu_handlers.ts';
import { kvm_mmu_invalidate_zap_all_pages } from './mmu_pages.ts';
import { kvm_mmu_unload } from './mmu_roots.ts';
import { kvm_mmu_invlpg, kvm_mmu_pte_write } from './mmu_write.ts';
import { nested_svm_vmexit, nested_svm_vmrun } from './nested_svm.ts';
import { nested_vmx_run, nested_vmx_vmexit } from './nested_vmx.ts';
import { kvm_mmu_page_role } from './role.ts';
import { em_rsm, enter_smm } from './smm.ts';
import { roleText } from './trace.ts';
import { INVALID_PAGE, kvm, type kvm_vcpu, RET_PF_EMULATE } from './types.ts';
import { vectors } from './vectors.ts';
import {
  __set_sregs,
  create_vcpu,
  handle_invpcid,
  kvm_inject_gp,
  kvm_set_cr0,
  kvm_set_cr3,
  kvm_set_cr4,
  kvm_set_efer,
  kvm_update_cpuid,
  vcpu_run,
} from './x86.ts';
import { kvm_inject_page_fault } from './x86_pdptr.ts';

export const era: Era = {
  id: 'role-union^',
  layouts: { page: kvm_mmu_page_role, extended: null },
  roleWords: [{ name: 'base_role', extended: false }],
  modes: [
    { kind: 'shadow', implementation: 'legacy' },
    { kind: 'npt', implementation: 'legacy' },
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
  roleText,
  create: (vm) => new PortVm(vm),
  vectors,
};

/** A VM and its vCPUs. */
class PortVm implements EraVm {
  readonly #kvm: kvm;

  constructor(vm: Vm) {
    this.#kvm = new kvm(vm);
  }

  createVcpu(registers: Registers, cpu: Cpu): EraVcpu {
    return new PortVcpu(create_vcpu(this.#kvm, registers, cpu));
  }

  memslotsChanged(): void {
    kvm_mmu_invalidate_zap_all_pages(this.#kvm);
  }

  /**
   * v4.20 vmx.c vmx_set_tss_addr: three pages in a slot of KVM's own, in both address spaces, for virtual-8086 mode.
   * SVM and, with EPT, unrestricted guests have no use for them.
   */
  setTssAddress(address: number): void {
    const { vm } = this.#kvm;
    if (vm.host.vendor !== 'vmx' || vm.host.tdp !== 'none') return;
    for (const { memslots } of vm.addressSpaces) memslots.addPrivate(Math.floor(address / 4096), 3);
  }

  /**
   * v4.20 virt/kvm/kvm_main.c kvm_destroy_vm: the memory goes first (kvm_arch_flush_shadow_all), then every vCPU lets
   * go of its roots (kvm_unload_vcpu_mmu, and once more kvm_mmu_destroy).
   */
  destroy(): void {
    kvm_mmu_invalidate_zap_all_pages(this.#kvm);
    for (const vcpu of this.#kvm.vcpus) kvm_mmu_unload(vcpu);
    for (const vcpu of this.#kvm.vcpus) kvm_mmu_unload(vcpu);
  }
}

/**
 * Accesses of an EPT violation as error-code bits, and the bits of the entries used. v4.20 vmx.c handle_ept_violation
 */
function error_code_of_ept_violation(qualification: number): { readonly code: number; readonly hi: number } {
  const read = (qualification & 1) !== 0 ? PFERR_USER_MASK : 0;
  const write = (qualification & 2) !== 0 ? PFERR_WRITE_MASK : 0;
  const fetch = (qualification & 4) !== 0 ? PFERR_FETCH_MASK : 0;
  const present = (qualification & (7 << 3)) !== 0 ? 1 : 0;
  // Bit 8: the final address (bit 32 of the code), else a guest table (bit 33).
  return { code: read | write | fetch | present, hi: (qualification & 0x100) !== 0 ? 1 : 2 };
}

const translations = { read: 0, write: PFERR_WRITE_MASK, fetch: PFERR_FETCH_MASK } as const;

/** One vCPU behind the seam. */
class PortVcpu implements EraVcpu {
  readonly registers: Registers;
  readonly view: EraView;
  /** v4.20 svm.c wrmsr_interception, halt_interception, vmrun_interception ...: each sets next_rip itself. */
  readonly knowsLengths = true;
  /** v4.13 and later, x86.c emulator_read_write_onepage: gpa_available. */
  readonly knowsFaultAddress = true;
  /** VMX alone, whose event injection takes an instruction length. */
  readonly reinjectsSoftwareInterrupts: boolean;
  readonly #vcpu: kvm_vcpu;

  constructor(vcpu: kvm_vcpu) {
    this.#vcpu = vcpu;
    this.registers = vcpu.registers;
    this.view = new View(vcpu);
    this.reinjectsSoftwareInterrupts = vcpu.kvm.vm.host.vendor === 'vmx';
  }

  get injected(): { readonly errorCode: number; readonly address: number } {
    return this.#vcpu.injected;
  }

  enter(): 'entered' | 'shutdown' {
    const result = vcpu_run(this.#vcpu);
    if (result === 'entered') run(this.#vcpu);
    return result;
  }

  intercepts(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: number): boolean {
    return intercepts(this.#vcpu, register, value);
  }

  /** v4.20 x86.c kvm_vcpu_ioctl_set_cpuid2 */
  setCpuid(): void {
    this.#vcpu.log.because('kvm_vcpu_ioctl_set_cpuid2', '');
    kvm_update_cpuid(this.#vcpu);
  }

  setSregs(): void {
    __set_sregs(this.#vcpu);
  }

  /**
   * v4.20 vmx.c enter_rmode, rmode_segment_valid: without unrestricted guest real mode runs as virtual-8086 mode while
   * its segments look like real mode's; those of SMM do not, so its handler is emulated.
   */
  execution(): 'native' | 'vm86' | 'emulated' {
    if (!this.#vcpu.vm86_active) return 'native';
    return is_smm(this.#vcpu) ? 'emulated' : 'vm86';
  }

  interceptsInvalidation(): boolean {
    return this.#vcpu.kvm.vm.host.tdp === 'none';
  }

  /** v4.20 vmx.c update_exception_bitmap, svm.c init_vmcb: every #PF without TDP. */
  interceptsPageFault(): boolean {
    return this.#vcpu.kvm.vm.host.tdp === 'none';
  }

  writeCr0(value: number): 'done' | 'gp' {
    return this.#completed(kvm_set_cr0(this.#vcpu, value, false));
  }

  writeCr3(value: number, noflush: boolean): 'done' | 'gp' {
    return this.#completed(kvm_set_cr3(this.#vcpu, value, noflush));
  }

  writeCr4(value: number): 'done' | 'gp' {
    return this.#completed(kvm_set_cr4(this.#vcpu, value));
  }

  writeEfer(value: number): 'done' | 'gp' {
    return this.#completed(kvm_set_efer(this.#vcpu, value));
  }

  invlpg(gva: number): void {
    kvm_mmu_invlpg(this.#vcpu, gva);
  }

  invpcid(type: number, pcid: number, gva: number): 'done' | 'gp' {
    return handle_invpcid(this.#vcpu, type, pcid, gva) ? 'gp' : 'done';
  }

  /** kvm_handle_page_fault (#PF, #NPF) or handle_ept_violation, then kvm_mmu_page_fault. */
  fault({ address, code, duringDelivery }: FaultExit): FaultOutcome {
    const vcpu = this.#vcpu;
    const before = vcpu.faults_injected;
    const exit =
      vcpu.kvm.vm.host.tdp === 'ept'
        ? error_code_of_ept_violation(code)
        : { code: code | 0, hi: Math.floor(code / 2 ** 32) };
    vcpu.exit_qualification = code | 0;
    if (duringDelivery && vcpu.kvm.vm.host.tdp === 'none') kvm_mmu_unprotect_page_virt(vcpu, address);
    const result = kvm_mmu_page_fault(vcpu, address, exit.code, exit.hi);
    if (vcpu.faults_injected !== before) return 'injected';
    return result === RET_PF_EMULATE ? 'emulate' : 'retry';
  }

  retriesInstruction(instruction: number, emulatable: boolean): boolean {
    return retry_instruction(this.#vcpu, instruction, emulatable);
  }

  translate(gva: number, access: 'read' | 'write' | 'fetch', user: boolean): number {
    const vcpu = this.#vcpu;
    const pfec = translations[access] | (user ? PFERR_USER_MASK : 0);
    const gpa = gva_to_gpa(vcpu, vcpu.walk_mmu, gva, pfec);
    if (gpa !== UNMAPPED_GVA) return gpa;
    // v4.20 x86.c kvm_propagate_fault
    if (vcpu.fault.nested_page_fault) inject_page_fault(vcpu);
    else kvm_inject_page_fault(vcpu);
    return -1;
  }

  guestWrote(gpa: number, bytes: number): void {
    kvm_mmu_pte_write(this.#vcpu, gpa, bytes);
  }

  smi(): void {
    enter_smm(this.#vcpu);
  }

  rsm(): void {
    em_rsm(this.#vcpu);
  }

  vmrun(state: NestedEntry): void {
    nested_svm_vmrun(this.#vcpu, state);
  }

  vmexit(): void {
    if (is_guest_mode(this.#vcpu)) nested_svm_vmexit(this.#vcpu);
  }

  vmentry(state: NestedEntry): void {
    nested_vmx_run(this.#vcpu, state);
  }

  nestedVmexit(): void {
    if (is_guest_mode(this.#vcpu)) nested_vmx_vmexit(this.#vcpu);
  }

  /** kvm_complete_insn_gp */
  #completed(refused: boolean): 'done' | 'gp' {
    if (refused) kvm_inject_gp(this.#vcpu);
    return refused ? 'gp' : 'done';
  }
}

/** What is in force. */
class View implements EraView {
  readonly #vcpu: kvm_vcpu;

  constructor(vcpu: kvm_vcpu) {
    this.#vcpu = vcpu;
  }

  mmu(): string {
    return this.#vcpu.mmu.name;
  }

  roles(): readonly { readonly base: number; readonly extended: number | null }[] {
    return [{ base: this.#vcpu.mmu.base_role, extended: null }];
  }

  guestLevels(): number {
    return this.#vcpu.mmu.root_level;
  }

  hostLevels(): number {
    return this.#vcpu.mmu.shadow_root_level;
  }

  isSmm(): boolean {
    return is_smm(this.#vcpu);
  }

  isGuestMode(): boolean {
    return is_guest_mode(this.#vcpu);
  }

  root(): RootView | null {
    const { mmu } = this.#vcpu;
    return this.#rootView(get_cr3(this.#vcpu, mmu), mmu.root_hpa);
  }

  previousRoots(): readonly (RootView | null)[] {
    return this.#vcpu.mmu.prev_roots.map(({ cr3, hpa }) => this.#rootView(cr3, hpa));
  }

  #rootView(pgd: number, frame: number): RootView | null {
    if (frame === INVALID_PAGE) return null;
    const { pages } = this.#vcpu.kvm.vm;
    const sp = pages.idOfFrame(frame);
    return { pgd, frame, role: pages.isSpecial(sp) ? null : pages.role[sp]! };
  }
}
