// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { CR0 } from '../../sim/registers.ts';
import { RAM_BYTES } from '../../workload/image.ts';
import { type Format, isBlock, type Op, type Workload } from '../../workload/ops.ts';
import { compile, type Step } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { POOL } from '../../workload/trees.ts';
import type { TraceMap, TracePaging } from '../guest.ts';
import type { TraceHeader } from '../header.ts';
import { Emitter, knownFlags, pageNumber } from './emit-ops.ts';
import { type Loss, Losses } from './losses.ts';

type OpOf<Name extends Op['op']> = Extract<Op, { readonly op: Name }>;

/** A workload as a trace. `pieces` gives its events; the words of a piece are used again for the next. */
export interface ConvertedOps {
  readonly header: TraceHeader;
  /** What a trace cannot say, apart from the guest's own code, which no trace has. */
  readonly losses: readonly Loss[];
  pieces(): Generator<{ words: Int32Array; count: number }>;
}

const pagings: Readonly<Record<Format, TracePaging>> = { leg32: '32bit', pae: 'pae', l4: '4level', l5: '5level' };

/**
 * The events of a workload from the moment at which the guest turns paging on; loops are unrolled. UserError when it never
 * does, or changes its paging mode later.
 */
export function fromOps(workload: Workload): ConvertedOps {
  const { steps, phases } = compile(workload);
  const { ops, maps, formats } = setupOf(workload);
  const losses = new Losses();
  const boot = bootOf(workload.name, steps, losses);
  const paging = pagings[formats.get(boot.tree)!];
  const spaces = [
    boot.tree,
    ...[...formats].filter(([name, format]) => name !== boot.tree && pagings[format] === paging).map(([name]) => name),
  ];
  const used = spaces.filter((tree) => tree === boot.tree || treesIn(boot.rest).has(tree));
  const header: TraceHeader = {
    name: workload.name,
    guest: {
      paging,
      frames: RAM_BYTES / 4096,
      tableFrame: POOL.start / 4096,
      spaces: used.map((tree) => ({ maps: (maps.get(tree) ?? []).flatMap((map) => mapsOf(map, paging, losses)) })),
    },
    phases,
    origin: { converted: `${workload.name}.ops` },
  };
  const conversion = { name: workload.name, header, spaces: used, ops, boot };
  // Two rounds of a loop meet everything that all of its rounds do.
  for (const _ of new Emitter(conversion, losses, 2).pieces());
  return {
    header,
    losses: losses.list,
    pieces: () => new Emitter(conversion, new Losses(), Number.POSITIVE_INFINITY).pieces(),
  };
}

/** Registers and tree in force when paging is turned on. */
export interface Boot {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  readonly tree: string;
  /** What comes after it. */
  readonly rest: readonly Step[];
}

/** What a guest does to get there. */
const bootKinds: ReadonlySet<Step['kind']> = new Set(['cr0', 'cr3', 'cr4', 'efer', 'far']);

/** The guest's way into its paging mode: everything up to the write of CR0 that turns paging on. */
function bootOf(name: string, steps: readonly Step[], losses: Losses): Boot {
  const boot = { cr0: 0x10, cr4: 0, efer: 0, tree: '' };
  for (const [i, step] of steps.entries()) {
    if (!bootKinds.has(step.kind)) losses.add(`line ${step.line}`, `${step.kind} before paging is on`);
    if (step.kind === 'cr4') boot.cr4 = step.value;
    else if (step.kind === 'efer') boot.efer = step.value;
    else if (step.kind === 'cr3') boot.tree = step.tree;
    else if (step.kind === 'cr0') {
      boot.cr0 = step.value;
      if ((step.value & CR0.PG) !== 0 && boot.tree !== '') return { ...boot, rest: steps.slice(i + 1) };
    }
  }
  throw new UserError({
    place: name,
    found: 'a guest that never turns paging on outside of a block',
    expected: '"enterlong", or writes of cr3 and cr0 +PG, before everything that is to be traced',
  });
}

function treesIn(steps: readonly Step[]): Set<string> {
  const trees = new Set<string>();
  const visit = (list: readonly Step[]): void => {
    for (const step of list) {
      if (step.kind === 'cr3') trees.add(step.tree);
      if ('body' in step) visit(step.body);
    }
  };
  visit(steps);
  return trees;
}

/** Every op by its line, the trees' formats, and what is mapped in each. */
function setupOf(workload: Workload) {
  const ops = new Map<number, Op>();
  const maps = new Map<string, (OpOf<'map'> | OpOf<'ident'>)[]>();
  const formats = new Map<string, Format>();
  const visit = (list: readonly Op[]): void => {
    for (const op of list) {
      ops.set(op.line, op);
      if (op.op === 'pt') formats.set(op.name, op.format);
      if (op.op === 'map' || op.op === 'ident') maps.set(op.pt, [...(maps.get(op.pt) ?? []), op]);
      if (isBlock(op)) visit(op.body);
    }
  };
  visit(workload.ops);
  return { ops, maps, formats };
}

const plainMap = { readOnlyOneIn: 0, scatter: 0 } as const;

/** `ident` in every paging mode; the alias for ring 3 stands in trees of four levels and more, where it costs nothing. */
export function identMaps(paging: TracePaging, global: boolean): TraceMap[] {
  const low = { ...plainMap, page: 0, frame: 0, count: 512, size: '4k', flags: global ? 'pwg' : 'pw' } as const;
  const alias = { ...plainMap, page: at.alias / 4096, frame: 0, count: 64, size: '4k', flags: 'pwu' } as const;
  return paging === '4level' || paging === '5level' ? [low, alias] : [low];
}

function mapsOf(op: OpOf<'map'> | OpOf<'ident'>, paging: TracePaging, losses: Losses): TraceMap[] {
  if (op.op === 'ident') return identMaps(paging, op.global === true);
  const flags = knownFlags(op.flags);
  if (flags !== op.flags) losses.add(`line ${op.line}`, `flags "${op.flags}": a trace has p w u n g a d`);
  return [{ ...plainMap, page: pageNumber(op.gva), frame: pageNumber(op.gpa), count: op.count, size: op.size, flags }];
}
