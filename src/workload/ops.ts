// SPDX-License-Identifier: GPL-2.0-only
import type { BitChange, Cr0Bit, Cr4Bit, EferBit, Feature } from './bits.ts';
import type { U64 } from './u64.ts';

/** Paging-structure formats of a tree: 32-bit two-level, PAE, 4-level, 5-level. */
export const formats = ['leg32', 'pae', 'l4', 'l5'] as const;
export type Format = (typeof formats)[number];

export const pageSizes = ['4k', '2m', '4m'] as const;
export type PageSize = (typeof pageSizes)[number];

export const distributions = ['uniform', 'zipf', 'seq'] as const;
export type Distribution = (typeof distributions)[number];

/** An op in a table of ops: its name, and the 1-based line it stands on. */
interface Node<Name extends string> {
  readonly op: Name;
  readonly line: number;
}

/** An op that holds others until its closing op, on `endLine`. */
interface Block<Name extends string> extends Node<Name> {
  readonly body: readonly Op[];
  readonly endLine: number;
}

/** Set-up, done before the guest starts. */
export type SetupOp =
  | (Node<'pt'> & { readonly name: string; readonly format: Format })
  | (Node<'map'> & {
      readonly pt: string;
      readonly gva: U64;
      readonly gpa: U64;
      readonly count: number;
      readonly size: PageSize;
      readonly flags: string;
    })
  | (Node<'ident'> & { readonly pt: string; readonly global?: true })
  | (Node<'vmcb'> & {
      readonly name: string;
      readonly address: number;
      readonly pt: string;
      readonly npt: string;
      readonly asid: number;
    })
  | (Node<'smmphase'> & { readonly name: string })
  | (Node<'smmclear'> & { readonly pt: string })
  | (Node<'vcpus'> & { readonly count: number })
  | (Node<'vmcs'> & { readonly name: string; readonly pt: string; readonly ept: string; readonly vpid?: number });

/** Register writes and switches of the execution mode. */
export type RegisterOp =
  | Node<'prot32'>
  | (Node<'far64'> & { readonly ltr?: true })
  | Node<'far32'>
  | (Node<'enterlong'> & { readonly pt: string; readonly bits: readonly `+${Cr4Bit}`[] })
  | (Node<'cr0'> & { readonly bits: readonly BitChange<Cr0Bit>[] })
  | (Node<'cr4' | 'cr4try'> & { readonly bits: readonly BitChange<Cr4Bit>[] })
  | (Node<'efer'> & { readonly bits: readonly BitChange<EferBit>[] })
  | (Node<'cr3'> & {
      readonly pt: string;
      readonly pcid?: number;
      readonly noflush?: true;
      readonly pwt?: true;
      readonly pcd?: true;
    })
  | (Node<'wrpkru'> & { readonly value: number })
  | Node<'stac'>
  | Node<'clac'>
  | Node<'svmon'>;

/** Accesses, changes of paging structures and what invalidates their cached copies. */
export type MemoryOp =
  | (Node<'r' | 'w' | 'x'> & { readonly gva: U64 })
  | (Node<'touchr' | 'touchw'> & { readonly gva: U64; readonly count: number; readonly stride?: number })
  | (Node<'real_r'> & { readonly offset: number })
  | (Node<'bulk'> & {
      readonly access: 'r' | 'w';
      readonly gva: U64;
      readonly pages: number;
      readonly count: number;
      readonly distribution: Distribution;
      readonly seed: number;
    })
  | (Node<'pte'> & {
      readonly pt: string;
      readonly gva: U64;
      readonly level: number;
      /** `0` clears the entry; then there is no `gpa`. */
      readonly flags: string;
      readonly gpa?: U64;
    })
  | (Node<'pdptes'> & { readonly pt: string })
  | (Node<'invlpg'> & { readonly gva: U64 })
  | (Node<'invpcid'> & { readonly type: number; readonly pcid?: number; readonly gva?: U64 })
  | (Node<'vmcbset'> & {
      readonly vmcb: string;
      readonly offset: number;
      readonly width: 4 | 8;
      /** A 64-bit value, or the name of a tree for its root. */
      readonly value: U64 | string;
    });

/** Markers, transitions into other modes of operation, and host events. */
export type EventOp =
  | (Node<'phase'> & { readonly name: string })
  | Node<'smi'>
  | Node<'halt'>
  | (Node<'vmrun'> & { readonly vmcb: string; readonly block: string })
  | (Node<'vmentry'> & { readonly vmcs: string; readonly block: string })
  | (Node<'memslot'> & { readonly action: 'delete' | 'move' });

/** Ops that hold others. */
export type BlockOp =
  | (Block<'repeat'> & { readonly count: number })
  | (Block<'if'> & { readonly feature: Feature })
  | Block<'user'>
  | (Block<'l2'> & { readonly name: string })
  | (Block<'on'> & { readonly vcpu: number });

/** One op of the workload language; docs/ops.md says what each does. */
export type Op = SetupOp | RegisterOp | MemoryOp | EventOp | BlockOp;

export type OpName = Op['op'];

/** A parsed workload. */
export interface Workload {
  /** File name without folder and extension, or the generator's name: stands in the place of every error. */
  readonly name: string;
  /** The comment on the first line of the file, one line. */
  readonly title?: string;
  readonly ops: readonly Op[];
}

/** The closing word of each block. */
export const closers = {
  repeat: 'end',
  if: 'endif',
  user: 'enduser',
  l2: 'endl2',
  on: 'endon',
} as const satisfies Record<BlockOp['op'], string>;

/** Whether the op holds others. */
export const isBlock = (op: Op): op is BlockOp => Object.hasOwn(closers, op.op);
