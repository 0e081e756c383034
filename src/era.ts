// SPDX-License-Identifier: GPL-2.0-only
import type { Layout } from './role/layout.ts';
import type { Cpu } from './sim/cpu.ts';
import type { Registers } from './sim/registers.ts';
import type { Vm } from './sim/vm.ts';

/**
 * The seam: what the machine, the replay and the checks may ask of a port, and nothing else. A port answers in kernel
 * terms; who asks does not know which kernel it is.
 *
 * A linear address crosses the seam as the address of its 4 KiB page, an unsigned 64-bit value with its low 12 bits clear:
 * so a double holds it exactly, in either half of 48- and 57-bit address spaces. KVM's paging code looks at nothing below;
 * who made the access adds the offset again to what comes back. Guest-physical addresses have at most 52 bits and cross
 * whole.
 */
export interface Era {
  /** As in commits/eras.json. */
  readonly id: string;
  /** Kernel name of each role union and its bit-fields; the extended union only where it has bit-fields. */
  readonly layouts: { readonly page: Layout; readonly extended: Layout | null };
  /** Role words an MMU holds, in kernel names: `base_role`; `mmu_role`; `cpu_role`, `root_role`. */
  readonly roleWords: readonly RoleWord[];
  /** Kinds of MMU this kernel can run, the default of each first. */
  readonly modes: readonly Mode[];
  readonly features: ReadonlySet<Feature>;
  /** Changes that some kernels of this era have and others lack: the name for Vm.differences → what it does. */
  readonly differences?: Readonly<Record<string, string>>;
  /** KVM's own text for a page role, as its tracepoints print it (without counts). */
  roleText(role: number): string;
  create(vm: Vm): EraVm;
  /** The vectors this port answers, for `conform` and the batch filters. */
  readonly vectors: VectorSurface;
}

/** One role word of an MMU: its name, and whether it carries an extended half. */
export interface RoleWord {
  readonly name: string;
  readonly extended: boolean;
}

export type MmuKind = 'shadow' | 'npt' | 'ept';
export type MmuImplementation = 'legacy' | 'tdp-mmu';

export interface Mode {
  readonly kind: MmuKind;
  readonly implementation: MmuImplementation;
}

/** What some kernels have and others lack. An op that needs a missing one is reported as "not in this era". */
export type Feature =
  | 'smm'
  | 'nested-svm'
  | 'nested-svm-npt'
  | 'nested-vmx'
  | 'nested-vmx-ept'
  | 'pcid'
  | 'invpcid'
  | 'smep'
  | 'smap'
  | 'pku'
  | 'la57';

export interface EraVm {
  /** Creates the next vCPU. The port keeps the registers up to date; the CPU is told which root to walk. */
  createVcpu(registers: Registers, cpu: Cpu): EraVcpu;
  /** The host deletes or moves the memory slot (all mappings go). */
  memslotsChanged(): void;
  /** User space says where three pages for a task state segment are (KVM_SET_TSS_ADDR), as a guest-physical address. */
  setTssAddress(address: number): void;
  /** The VM goes: its memory, then every vCPU's roots. No page is left. */
  destroy(): void;
}

export interface EraVcpu {
  /** The registers in force: L2's while L2 runs. The same object all the time. */
  readonly registers: Registers;
  /** User space sets the vCPU's CPUID (KVM_SET_CPUID2) and its registers, to the values they have (KVM_SET_SREGS). */
  setCpuid(): void;
  setSregs(): void;
  /** Serves pending requests and loads a root where there is none (vcpu_enter_guest). 'shutdown' = triple fault. */
  enter(): 'entered' | 'shutdown';
  /** Whether this write leaves the guest (vendor, intercepts, guest-owned bits). */
  intercepts(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: number): boolean;
  /**
   * How the guest's code runs now: by the CPU as it is; in virtual-8086 mode, where real mode cannot be entered; or by the
   * emulator, where the CPU could not be entered with such a state.
   */
  execution(): 'native' | 'vm86' | 'emulated';
  /** Whether INVLPG and INVPCID leave the guest. */
  interceptsInvalidation(): boolean;
  /** Whether a #PF with this error code leaves the guest. Asked under shadow paging. */
  interceptsPageFault(errorCode: number): boolean;
  /** Register writes as the exit handler makes them. Bit 63 of CR3 comes as `noflush`. */
  writeCr0(value: number): WriteResult;
  writeCr3(value: number, noflush: boolean): WriteResult;
  writeCr4(value: number): WriteResult;
  writeEfer(value: number): WriteResult;
  /** `gva` is a page's address, as in all that follows (see Era). */
  invlpg(gva: number): void;
  invpcid(type: number, pcid: number, gva: number): WriteResult;
  /** A page fault under shadow paging, or a nested-page fault or EPT violation. */
  fault(exit: FaultExit): FaultOutcome;
  /**
   * Asked after fault() said 'emulate', when KVM has read an instruction that is not made for writing page tables. True:
   * the table it hit is shadowed no longer, and the guest runs it once more. `instruction` is its address; `emulatable`:
   * the emulator has it.
   */
  retriesInstruction?(instruction: number, emulatable: boolean): boolean;
  /** Whether the emulator takes the address of a two-dimensional fault instead of walking the guest's tables once more. */
  readonly knowsFaultAddress: boolean;
  /**
   * Whether an INT n whose delivery met an exit is delivered again by KVM, which must know where the instruction ends;
   * otherwise the guest executes it again.
   */
  readonly reinjectsSoftwareInterrupts: boolean;
  /** KVM steps over HLT, WRMSR and the like by lengths it knows, also where the CPU does not tell; otherwise it reads them. */
  readonly knowsLengths: boolean;
  /** The #PF that the last fault() with outcome 'injected', or translate(), hands to the guest; of CR2 the page. */
  readonly injected: { readonly errorCode: number; readonly address: number };
  /** Software translation of a page, as the instruction emulator uses it. Guest-physical, or -1 for a fault (see `injected`). */
  translate(gva: number, access: 'read' | 'write' | 'fetch', user: boolean): number;
  /** The emulator wrote guest memory: `bytes` at `gpa`, already stored. */
  guestWrote(gpa: number, bytes: number): void;
  /** SMM entry (the handler runs without paging) and RSM. Only with the feature. */
  smi?(): void;
  rsm?(): void;
  /** Nested SVM: VMRUN with L2's registers, and #VMEXIT back to L1. `nestedCr3` is null when L1 uses no nested paging. */
  vmrun?(state: NestedEntry): void;
  vmexit?(): void;
  /** Nested VMX. `pointer` of the entry is L1's EPTP or null. */
  vmentry?(state: NestedEntry): void;
  nestedVmexit?(): void;
  readonly view: EraView;
}

/** 'gp' = the write is refused with #GP and changes nothing. */
export type WriteResult = 'done' | 'gp';

export interface FaultExit {
  /** Page of CR2 under shadow paging, guest-physical address under two-dimensional paging. */
  readonly address: number;
  /** #PF error code; nested-page-fault EXITINFO1 (bits 32 and 33 included); EPT-violation exit qualification. */
  readonly code: number;
  /** The access was one of the CPU's own while it delivered an event, which has to be delivered again. */
  readonly duringDelivery?: boolean;
  /** The CPU's report names an event: the one it was delivering, or what an emulated CPU left there of the last one. */
  readonly namesEvent?: boolean;
  /** Address of the instruction that runs, or of the code it is in. Absent: another than at the last fault. */
  readonly instruction?: number;
}

/** retry: fixed, run the instruction again. injected: the guest gets a #PF. emulate: KVM executes the instruction. */
export type FaultOutcome = 'retry' | 'injected' | 'emulate' | 'failed';

/** L2's registers, and how L1 translates L2's addresses. */
export interface NestedEntry {
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
  /** Nested CR3 (SVM) or EPTP (VMX), null when L1 uses no two-dimensional paging. */
  readonly pointer: number | null;
  /** ASID, or VPID (0 = none). */
  readonly tag: number;
}

/** What is in force, for records and reports. Values are read when asked for. */
export interface EraView {
  /** Which MMU the vCPU translates with: `root_mmu` or `guest_mmu`; older kernels have one, `mmu`. */
  mmu(): string;
  /** Base and extended half of each role word, in the order of Era.roleWords; `extended` null where there is none. */
  roles(): readonly { readonly base: number; readonly extended: number | null }[];
  guestLevels(): number;
  hostLevels(): number;
  isSmm(): boolean;
  isGuestMode(): boolean;
  root(): RootView | null;
  previousRoots(): readonly (RootView | null)[];
}

/** One root: guest table pointer it was built for, host frame, and the role of its page (null: a table without header). */
export interface RootView {
  readonly pgd: number;
  readonly frame: number;
  readonly role: number | null;
}

// --- vectors --------------------------------------------------------------------------------------------------------

/** A value of a vector column. */
export type VectorValue =
  | number
  | string
  | boolean
  | null
  | readonly VectorValue[]
  | { readonly [key: string]: VectorValue };

/** Named columns of a vector row. */
export type VectorRow = Readonly<Record<string, VectorValue>>;

/**
 * Ports answer vectors in the vectors' own columns and number forms. `context` is the file's header (hosts, sets,
 * constants). A handler throws an Error on input it does not understand; the runner turns that into a failure.
 */
export interface VectorSurface {
  /** Section name → one independent computation a row: input columns in, output columns out. */
  readonly rows: Readonly<Record<string, (input: VectorRow, context: VectorRow) => VectorRow>>;
  /** Section name → a session: takes the sequence's own columns, then one step after the other. */
  readonly sessions: Readonly<Record<string, (start: VectorRow, context: VectorRow) => (step: VectorRow) => VectorRow>>;
}
