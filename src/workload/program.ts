// SPDX-License-Identifier: GPL-2.0-only
import type { Feature } from './bits.ts';
import { lowerLocated } from './lower.ts';
import type { Distribution, Workload } from './ops.ts';
import type { U64 } from './u64.ts';

/**
 * A data access that the guest code of a step makes beside what the step is about: stack, loop counter, descriptor.
 * `address` is linear, and is mapped to itself by `ident`. `u` is a read and a write by one instruction.
 */
export interface Touch {
  readonly address: number;
  readonly access: 'r' | 'w' | 'u';
}

/** What every step has. */
interface Base<Kind extends string> {
  readonly kind: Kind;
  /** Line of the op in the source. */
  readonly line: number;
  readonly vcpu: number;
  /** Width of the code that runs it. */
  readonly bits: 16 | 32 | 64;
  readonly cpl: 0 | 3;
  /** Linear address of its first instruction, and the bytes up to the next step (a block's: up to its body). */
  readonly codeAddress: number;
  readonly codeBytes: number;
  /** In the order they are made, before the step's own access or event. */
  readonly touches: readonly Touch[];
}

/** One L2 code block; its steps end in an exit to L1 (VMMCALL or VMCALL). */
export interface L2Block {
  readonly name: string;
  readonly codeAddress: number;
  readonly body: readonly Step[];
  /** Of the instruction that exits. */
  readonly closeAddress: number;
}

/** One step of the guest or of its host, with every value resolved. */
export type Step =
  /** MOV to CR0, CR4: the whole register. `tentative`: a #GP is expected, and a later write starts from the value before. */
  | (Base<'cr0'> & { readonly value: number })
  | (Base<'cr4'> & { readonly value: number; readonly tentative: boolean })
  /** MOV to CR3: root, low bits and bit 63 (no flush) as the guest writes them. */
  | (Base<'cr3'> & { readonly value: U64; readonly tree: string })
  /** WRMSR of EFER, the low half; the high half is 0. */
  | (Base<'efer'> & { readonly value: number })
  /** Any other WRMSR. */
  | (Base<'wrmsr'> & { readonly index: number; readonly value: number })
  /** Far transfer to another code segment; the data segments and IDTR are loaded after it, and TR when `ltr`. */
  | (Base<'far'> & { readonly to: 32 | 64; readonly ltr: boolean })
  /** One access of a byte, or a jump to a page that jumps back. A fault ends the step. */
  | (Base<'access'> & { readonly gva: U64; readonly access: 'r' | 'w' | 'x' })
  /** `count` accesses `stride` bytes apart, the first at `gva`. A fault ends the step. */
  | (Base<'touch'> & {
      readonly gva: U64;
      readonly access: 'r' | 'w';
      readonly count: number;
      readonly stride: number;
    })
  /** `count` accesses to pages drawn by `PageStream`; page n is at `gva` + n * 4096. A fault ends the step. */
  | (Base<'bulk'> & {
      readonly gva: U64;
      readonly access: 'r' | 'w';
      readonly pages: number;
      readonly count: number;
      readonly distribution: Distribution;
      readonly seed: number;
    })
  /** Real-mode read at an offset of segment 0. */
  | (Base<'realread'> & { readonly offset: number })
  /** One store into a structure of the guest, through its identity mapping. */
  | (Base<'store'> & {
      readonly address: number;
      readonly bytes: 4 | 8;
      readonly lo: number;
      readonly hi: number;
      readonly what: 'pte' | 'pdpte' | 'vmcb';
      /** The tree or VMCB. */
      readonly of: string;
    })
  | (Base<'invlpg'> & { readonly gva: U64 })
  | (Base<'invpcid'> & { readonly type: number; readonly pcid: number; readonly gva: U64 })
  | (Base<'wrpkru'> & { readonly value: number })
  /** STAC or CLAC: RFLAGS.AC. */
  | (Base<'ac'> & { readonly value: 0 | 1 })
  /** OUT to port 0x510: an exit to user space; number and name of the phase that begins. */
  | (Base<'phase'> & { readonly index: number; readonly name: string })
  /** OUT to port 0x511: an exit to user space, which raises an SMI; `Program.smm` says what its handler does. */
  | Base<'smi'>
  /** HLT: the end of the run. */
  | Base<'halt'>
  /** CLGI, VMLOAD, VMRUN, the block until its exit, VMSAVE, STGI. */
  | (Base<'vmrun'> & { readonly vmcb: string; readonly block: L2Block; readonly afterTouches: readonly Touch[] })
  /** VM entry, the block until its exit. */
  | (Base<'vmentry'> & { readonly vmcs: string; readonly block: L2Block })
  /** IRET to ring 3, the body, INT 0x80 (at `closeAddress`) back. `afterTouches` are those of the way back. */
  | (Base<'user'> & {
      readonly body: readonly Step[];
      readonly closeAddress: number;
      readonly afterTouches: readonly Touch[];
    })
  /** The body `count` times, at least once. Each round ends at `closeAddress` with `roundTouches`: the counter is in memory. */
  | (Base<'repeat'> & {
      readonly count: number;
      readonly body: readonly Step[];
      readonly closeAddress: number;
      readonly roundTouches: readonly Touch[];
    })
  /** The body when the CPU has the feature; without it the guest goes on at `endAddress`. */
  | (Base<'if'> & { readonly feature: Feature; readonly body: readonly Step[]; readonly endAddress: number })
  /** Host event: user space deletes the memory slot of guest RAM, or moves it, and brings it back. No guest code. */
  | (Base<'memslot'> & { readonly action: 'delete' | 'move' });

/** What is left of a step without what every step has; distributes over the union. */
type Own<S> = S extends Step ? Omit<S, Exclude<keyof Base<string>, 'kind'>> : never;
export type StepBody = Own<Step>;

/** The SMM handler at 0x38000: it reports a phase (0: none that has a name), clears bit 5 of these words, and resumes. */
export interface SmmHandler {
  readonly phase: number;
  readonly phaseName: string | undefined;
  readonly clears: readonly number[];
  /** What it pushes at its beginning and pops at its end: EAX and EDX, on the stack of the code it interrupted. */
  readonly saves: readonly Touch[];
  readonly restores: readonly Touch[];
  readonly codeAddress: number;
  readonly codeBytes: number;
}

/** Code addresses of the guest's exception handlers (vectors 6, 13, 14) by code width, and of INT 0x80. */
export interface Handlers {
  readonly 32: Readonly<Record<6 | 13 | 14, number>>;
  readonly 64: Readonly<Record<6 | 13 | 14, number>>;
  readonly int80: number;
}

/** A workload in guest order. Loops and conditions are kept, so its size is that of the source. */
export interface Program {
  readonly name: string;
  readonly vcpus: number;
  readonly steps: readonly Step[];
  /** Phase n is `phases[n - 1]`. */
  readonly phases: readonly string[];
  readonly blocks: ReadonlyMap<string, L2Block>;
  readonly smm: SmmHandler;
  /** Guest code: entered in real mode at its start with RSP 0x6000 and RFLAGS 2, handlers and their table included. */
  readonly code: { readonly address: number; readonly bytes: number };
  /** The HLT behind the last op. */
  readonly endAddress: number;
  readonly handlers: Handlers;
}

/**
 * The steps of a workload. Throws a UserError when its ops do not fit together.
 *
 * Register values are those that the ops add up to, starting from CR0 = 0x10 (ET), CR4 = 0, EFER = 0: the guest never
 * reads a register. Inside an L2 block they go on from what L1 had where the block stands in the text, and fall back to
 * that after it.
 */
export const compile = (workload: Workload): Program => lowerLocated(workload).program;
