// SPDX-License-Identifier: GPL-2.0-only
/**
 * Port of KVM's x86 MMU as of a770f6f28b1a ("KVM: MMU: Inherit a shadow page's guest level count from vcpu setup", Dec
 * 2008, released in v2.6.30). mmu.c and kvm_host.h are of exactly this commit; paging_tmpl.h, x86.c and vmx.c follow
 * v2.6.29, nested SVM follows v2.6.30.
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
import { CR4, type Registers } from '../../src/sim/registers.ts';
import type { Vm } from '../../src/sim/vm.ts';
import { init_kvm_mmu, is_paging, tdp_enabled } from './calc.ts';
import { FAULT_EMULATE, mmu_gva_to_gpa } from './mmu_fault.ts';
import { kvm_mmu_zap_all } from './mmu_pages.ts';
import { kvm_mmu_unload } from './mmu_roots.ts';
import { kvm_mmu_pte_write } from './mmu_write.ts';
import { handle_exit, nested_svm_vmexit, nested_svm_vmrun } from './nested_svm.ts';
import { kvm_mmu_page_role } from './role.ts';
import { PT64_ROOT_LEVEL } from './spte_format.ts';
import { role_text } from './trace.ts';
import { INVALID_PAGE, kvm, kvm_vcpu, UNMAPPED_GVA } from './types.ts';
import { vectors } from './vectors.ts';
import {
  CR4_KNOWN,
  kvm_arch_vcpu_ioctl_set_sregs,
  kvm_inject_page_fault,
  kvm_mmu_invlpg,
  kvm_mmu_page_fault,
  kvm_set_cr0,
  kvm_set_cr3,
  kvm_set_cr4,
  set_efer,
  vcpu_enter_guest,
  vcpu_reset,
} from './x86.ts';

/** v2.6.29 kvm_host.h KVM_GUEST_CR4_MASK: bits of CR4 that belong to the host under VMX; all others the guest writes itself. */
const KVM_GUEST_CR4_MASK = (1 << 0) | CR4.PSE | CR4.PAE | CR4.PGE | CR4.VMXE;

class Vcpu implements EraVcpu {
  readonly registers: Registers;
  readonly view: EraView;
  /** v2.6.29 svm.c wrmsr_interception, halt_interception, vmrun_interception ...: each sets next_rip itself. */
  readonly knowsLengths = true;
  /** The emulator translates every address anew. */
  readonly knowsFaultAddress = false;
  /** An event of INT n that met an exit is forgotten: the guest executes the instruction again (until v2.6.31). */
  readonly reinjectsSoftwareInterrupts = false;
  readonly #vcpu: kvm_vcpu;
  /** The exit that the next entry ends has been through handle_exit. */
  #exit_handled = true;

  constructor(vcpu: kvm_vcpu) {
    this.#vcpu = vcpu;
    this.registers = vcpu.registers;
    this.view = viewOf(vcpu);
  }

  get injected(): EraVcpu['injected'] {
    const { error_code, cr2 } = this.#vcpu.exception;
    return { errorCode: error_code, address: cr2 };
  }

  /** v2.6.29 x86.c kvm_vcpu_ioctl_set_cpuid2 stores a table: nothing of the MMU depends on the guest's CPUID. */
  setCpuid(): void {}

  setSregs(): void {
    const { shadow_efer, registers } = this.#vcpu;
    kvm_arch_vcpu_ioctl_set_sregs(this.#vcpu, {
      cr0: registers.cr0,
      cr3: registers.cr3,
      cr4: registers.cr4,
      efer: shadow_efer,
    });
  }

  /** Exits that have no method here (port I/O, HLT) came through handle_exit all the same. */
  enter(): 'entered' {
    if (!this.#exit_handled) handle_exit(this.#vcpu);
    this.#exit_handled = false;
    vcpu_enter_guest(this.#vcpu);
    return 'entered';
  }

  #handle_exit(): boolean {
    this.#exit_handled = true;
    return handle_exit(this.#vcpu);
  }

  /**
   * SVM intercepts CR0 and CR3 only under shadow paging. VMX compares CR0 with all bits of the read shadow and CR4 with the
   * bits of KVM_GUEST_CR4_MASK, so a write that changes none of them stays in the guest; CR3 under EPT exits only while
   * paging is off (v2.6.29 vmx.c ept_update_paging_mode_cr0:1499). CR4 bits that came to CPUs later raise #GP there without
   * an exit; KVM's check of the same bits stands in for that.
   */
  intercepts(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: number): boolean {
    const { kvm } = this.#vcpu;
    const { vendor, tdp } = kvm.vm.host;
    switch (register) {
      case 'cr0':
        return vendor === 'vmx' ? value !== this.registers.cr0 : tdp === 'none';
      case 'cr3':
        return vendor === 'vmx' ? tdp === 'none' || !is_paging(this.#vcpu) : tdp === 'none';
      case 'cr4':
        return vendor === 'svm' || ((value ^ this.registers.cr4) & (KVM_GUEST_CR4_MASK | ~CR4_KNOWN)) !== 0;
      case 'efer':
        return true;
    }
  }

  /**
   * v2.6.29 vmx.c enter_rmode: VMX cannot enter real mode, with EPT neither. (CPUs that can are used from v2.6.32 on,
   * and states that virtual-8086 mode cannot stand for are not emulated, emulate_invalid_guest_state = 0.) With EPT
   * paging is on then, over tables of KVM's own that map every page to itself; hardware's walks of those are left out.
   */
  execution(): 'native' | 'vm86' {
    return this.#vcpu.rmode_active ? 'vm86' : 'native';
  }

  interceptsInvalidation(): boolean {
    return !tdp_enabled(this.#vcpu.kvm);
  }

  /** VMX with bypass_guest_pf: only faults with P in the error code exit; the other non-present value makes none of those. */
  interceptsPageFault(errorCode: number): boolean {
    const { trap_nonpresent: trap, notrap_nonpresent: notrap } = this.#vcpu.kvm.spte;
    const bypass = trap.lo !== notrap.lo || trap.hi !== notrap.hi;
    return !bypass || (errorCode & PFEC.P) !== 0;
  }

  writeCr0(value: number): WriteResult {
    return this.#handle_exit() ? kvm_set_cr0(this.#vcpu, value) : 'gp';
  }

  /** There is no PCID yet; `noflush` is a reserved bit of the value and reaches no guest of this kernel. */
  writeCr3(value: number, noflush: boolean): WriteResult {
    return this.#handle_exit() ? kvm_set_cr3(this.#vcpu, noflush ? value + 2 ** 63 : value) : 'gp';
  }

  writeCr4(value: number): WriteResult {
    return this.#handle_exit() ? kvm_set_cr4(this.#vcpu, value) : 'gp';
  }

  writeEfer(value: number): WriteResult {
    return this.#handle_exit() ? set_efer(this.#vcpu, value) : 'gp';
  }

  invlpg(gva: number): void {
    if (this.#handle_exit()) kvm_mmu_invlpg(this.#vcpu, gva);
  }

  /** The instruction does not exist for guests of this kernel. */
  invpcid(): WriteResult {
    return 'gp';
  }

  /** EPT violations come with the page's address and error code 0 (v2.6.29 vmx.c handle_ept_violation:2974). */
  fault({ address, code }: FaultExit): FaultOutcome {
    const vcpu = this.#vcpu;
    if (!this.#handle_exit()) return 'failed';
    const ept = vcpu.kvm.vm.host.tdp === 'ept';
    const result = ept
      ? kvm_mmu_page_fault(vcpu, address - (address & 0xfff), 0)
      : kvm_mmu_page_fault(vcpu, address, code >>> 0);
    if (result === FAULT_EMULATE) return 'emulate';
    return vcpu.exception.pending ? 'injected' : 'retry';
  }

  /**
   * v2.6.29 x86.c emulator_read_emulated, emulator_write_emulated_onepage: rights are not looked at. A write to an unmapped
   * page gives #PF with W alone. For a read the C gives up on the instruction; a #PF with code 0 stands for that.
   */
  translate(gva: number, access: 'read' | 'write' | 'fetch', _user: boolean): number {
    const gpa = mmu_gva_to_gpa(this.#vcpu, gva);
    if (gpa !== UNMAPPED_GVA) return gpa;
    kvm_inject_page_fault(this.#vcpu, gva, access === 'write' ? PFEC.W : 0);
    return -1;
  }

  /** v2.6.29 x86.c emulator_write_phys:2043, after the store */
  guestWrote(gpa: number, bytes: number): void {
    kvm_mmu_pte_write(this.#vcpu, gpa, bytes, true);
  }

  vmrun(state: NestedEntry): void {
    if (this.#handle_exit()) nested_svm_vmrun(this.#vcpu, state);
  }

  vmexit(): void {
    this.#exit_handled = true;
    nested_svm_vmexit(this.#vcpu);
  }
}

function viewOf(vcpu: kvm_vcpu): EraView {
  const { mmu } = vcpu;
  return {
    mmu: () => 'mmu',
    roles: () => [{ base: mmu.base_role, extended: null }],
    guestLevels: () => mmu.root_level,
    hostLevels: () => mmu.shadow_root_level,
    isSmm: () => false,
    isGuestMode: () => vcpu.hsave !== null,
    root: () => rootOf(vcpu),
    previousRoots: () => [],
  };
}

/** The pgd of a four-level root is its page's frame; PAE roots have no page of their own and follow CR3. */
function rootOf({ kvm, mmu, registers }: kvm_vcpu): RootView | null {
  const { pages } = kvm.vm;
  if (mmu.root_hpa === INVALID_PAGE) return null;
  if (mmu.shadow_root_level !== PT64_ROOT_LEVEL) {
    return { pgd: mmu.root_level === 0 ? 0 : registers.cr3, frame: mmu.root_hpa, role: null };
  }
  const sp = pages.idOfFrame(mmu.root_hpa);
  return { pgd: pages.gfn[sp]! * 4096, frame: mmu.root_hpa, role: pages.role[sp]! };
}

/** v2.6.29 x86.c kvm_arch_vcpu_setup: reset, then kvm_mmu_setup. */
function create_vcpu(vm: kvm, registers: Registers, cpu: Cpu): kvm_vcpu {
  const vcpu = new kvm_vcpu(vm, registers, cpu);
  vm.vcpus.push(vcpu);
  vcpu_reset(vcpu);
  init_kvm_mmu(vcpu);
  return vcpu;
}

/** v2.6.29 vmx.c vmx_set_tss_addr: three pages in a slot of KVM's own. SVM has no use for them. */
function set_tss_addr({ vm }: kvm, address: number): void {
  if (vm.host.vendor === 'vmx') vm.memslots.addPrivate(Math.floor(address / 4096), 3);
}

/**
 * v2.6.29 kvm_main.c kvm_destroy_vm: the memory goes first (kvm_mmu_notifier_release), then every vCPU lets go of its
 * root (kvm_free_vcpus). What kvm_mmu_destroy would free after that is gone.
 */
function destroy_vm(vm: kvm): void {
  kvm_mmu_zap_all(vm);
  for (const vcpu of vm.vcpus) kvm_mmu_unload(vcpu);
}

function create(machine: Vm): EraVm {
  const vm = new kvm(machine);
  return {
    createVcpu: (registers, cpu) => new Vcpu(create_vcpu(vm, registers, cpu)),
    memslotsChanged: () => kvm_mmu_zap_all(vm),
    setTssAddress: (address) => set_tss_addr(vm, address),
    destroy: () => destroy_vm(vm),
  };
}

export const era: Era = {
  id: 'base-role',
  layouts: { page: kvm_mmu_page_role, extended: null },
  roleWords: [{ name: 'base_role', extended: false }],
  modes: [
    { kind: 'shadow', implementation: 'legacy' },
    { kind: 'npt', implementation: 'legacy' },
    { kind: 'ept', implementation: 'legacy' },
  ],
  features: new Set(['nested-svm']),
  roleText: role_text,
  create,
  vectors,
};
