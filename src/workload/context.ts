// SPDX-License-Identifier: GPL-2.0-only
import { nearest } from '../errors.ts';
import type { Width } from './encoding.ts';
import type { Vmcb, Vmcs } from './image.ts';
import { fail } from './mistakes.ts';
import type { Op } from './ops.ts';
import type { Step, StepBody, Touch } from './program.ts';
import { at, none } from './touches.ts';
import { type Tree, Trees } from './trees.ts';

/** The registers of one vCPU as the ops add up to them. */
export interface CpuState {
  cr0: number;
  cr4: number;
  efer: number;
  bits: Width;
}

/** An L2 block while the workload is read; it may be run before it is defined. */
export interface BlockDraft {
  readonly name: string;
  body: readonly Step[];
  codeAddress: number;
  closeAddress: number;
  defined: boolean;
  /** Loop counters its loops use: from the first, up to but without the second. */
  counters: readonly [first: number, end: number];
}

/** A `vmrun` or `vmentry` with the loops that were open around it. */
export interface Run {
  readonly op: Op;
  readonly block: BlockDraft;
  readonly depth: number;
}

/** State while the ops of a workload are gone through in source order, and what comes of them. */
export class Context {
  readonly trees = new Trees();
  readonly vmcbs = new Map<string, Vmcb>();
  readonly vmcses = new Map<string, Vmcs>();
  readonly phases: string[] = [];
  readonly blocks = new Map<string, BlockDraft>();
  readonly runs: Run[] = [];
  readonly smmClears: number[] = [];
  smmPhase = 0;

  readonly cpus: CpuState[] = [{ cr0: 0x10, cr4: 0, efer: 0, bits: 16 }];
  vcpu = 0;
  cpl: 0 | 3 = 0;
  /** The block whose code is being read. */
  block: BlockDraft | undefined;
  /** Loops that are open: the next one's counter. */
  depth = 0;
  /** The most counters in use at once since this was last set. */
  deepest = 0;
  /** Blocks of any kind that are open. */
  nesting = 0;
  steps: Step[] = [];
  /** Address of the next instruction, outside the ring 3 alias. */
  code: number = at.code;

  get cpu(): CpuState {
    return this.cpus[this.vcpu]!;
  }

  /** Address the next instruction runs at. */
  get codeAddress(): number {
    return this.code + (this.cpl === 3 ? at.alias : 0);
  }

  /** Adds a step of `bytes` bytes of code. */
  emit(op: Op, body: StepBody, bytes: number, touches: readonly Touch[] = none): void {
    this.emitBlock(op, { bytes, touches }, () => body);
  }

  /** Adds a step whose body follows `bytes` bytes of its own; `read` reads the body and makes the step of it. */
  emitBlock(op: Op, own: { bytes: number; touches: readonly Touch[] }, read: () => StepBody): void {
    const { bytes, touches } = own;
    const { vcpu, cpl, codeAddress } = this;
    const base = { line: op.line, vcpu, bits: this.cpu.bits, cpl, codeAddress, codeBytes: bytes, touches };
    this.code += bytes;
    // A StepBody is a Step without the fields of `base`.
    const step = { ...base, ...read() } as Step;
    this.steps.push(step);
    if (this.code < at.codeEnd) return;
    fail(op, 'op', {
      found: 'the guest code no longer fits',
      expected: `at most ${at.codeEnd - at.code} bytes of code`,
      suggestion: 'repeat what recurs, or cut the workload in two',
    });
  }

  /** Steps that `read` emits, kept apart. */
  collect(read: () => void): Step[] {
    const outer = this.steps;
    const inner: Step[] = [];
    this.steps = inner;
    read();
    this.steps = outer;
    return inner;
  }

  /** The tree of that name. */
  tree(op: Op, field: string, name: string): Tree {
    return this.defined(op, field, name, { what: 'page-table tree', among: this.trees.byName, by: 'pt' });
  }

  /** The definition of a name, or a mistake that lists what there is. */
  defined<T>(
    op: Op,
    field: string,
    name: string,
    { what, among, by }: { what: string; among: ReadonlyMap<string, T>; by: string },
  ): T {
    const found = among.get(name);
    if (found) return found;
    const names = [...among.keys()];
    const expected = names.length === 0 ? `a "${by}" op before it` : `one of ${names.join(' ')}`;
    fail(op, field, { found: `no ${what} "${name}"`, expected, suggestion: nearest(name, names) });
  }

  /** Refuses a second definition of a name. */
  fresh(op: Op, name: string, among: { has(name: string): boolean }): void {
    if (among.has(name)) fail(op, 'name', { found: `"${name}" is defined twice`, expected: 'a new name' });
  }

  /** The L2 block of that name, known or still to come. */
  draft(name: string): BlockDraft {
    let draft = this.blocks.get(name);
    if (!draft) {
      draft = { name, body: [], codeAddress: 0, closeAddress: 0, defined: false, counters: [0, 0] };
      this.blocks.set(name, draft);
    }
    return draft;
  }

  /** Refuses an op outside code of the given widths. */
  needBits(op: Op, ...widths: Width[]): void {
    if (widths.includes(this.cpu.bits)) return;
    const ways = {
      16: 'real mode',
      32: '32-bit code (prot32 or far32 before it)',
      64: '64-bit code (far64 before it)',
    };
    fail(op, 'op', {
      found: `"${op.op}" in ${this.cpu.bits === 16 ? 'real mode' : `${this.cpu.bits}-bit code`}`,
      expected: widths.map((width) => ways[width]).join(' or '),
    });
  }

  /** Refuses an op at CPL 3, where it would fault with nothing to go on with. */
  needKernel(op: Op): void {
    if (this.cpl === 0) return;
    fail(op, 'op', {
      found: `"${op.op}" inside "user"`,
      expected: 'r w x touchr touchw bulk wrpkru stac or clac there',
    });
  }
}
