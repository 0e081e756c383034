// SPDX-License-Identifier: GPL-2.0-only
import { cr0Bits, cr4Bits, eferBits, entryFlags } from './bits.ts';
import type { Context } from './context.ts';
import { fail } from './mistakes.ts';
import type { Op, PageSize, SetupOp } from './ops.ts';
import { at } from './touches.ts';
import { inReach, POOL, shapes, type Tree, type WalkStop } from './trees.ts';
import { fits, hexOf, plus, type U64, u64 } from './u64.ts';

type Of<Name extends SetupOp['op']> = Extract<SetupOp, { op: Name }>;

const stepOf: Readonly<Record<PageSize, number>> = { '4k': 0x1000, '2m': 0x200000, '4m': 0x400000 };

/** What the guest finds when it starts: no instruction comes of these ops. */
export function lowerSetup(context: Context, op: SetupOp): void {
  switch (op.op) {
    case 'pt':
      context.fresh(op, op.name, context.trees.byName);
      if (!context.trees.create(op.name, op.format)) poolExhausted(op);
      break;
    case 'map':
      map(context, op, context.tree(op, 'pt', op.pt));
      break;
    case 'ident':
      ident(context, op);
      break;
    case 'vmcb':
      vmcb(context, op);
      break;
    case 'vmcs':
      vmcs(context, op);
      break;
    case 'smmphase':
      context.phases.push(op.name);
      context.smmPhase = context.phases.length;
      break;
    case 'smmclear':
      for (let i = 0; i < 4; i++) context.smmClears.push(paeTree(context, op, op.pt).root + 8 * i);
      break;
    case 'vcpus':
      if (context.cpus.length > 1) fail(op, 'op', { found: 'a second "vcpus"', expected: 'one' });
      while (context.cpus.length < op.count) context.cpus.push({ cr0: 0x10, cr4: 0, efer: 0, bits: 16 });
  }
}

function map(context: Context, op: Of<'map'>, tree: Tree): void {
  const step = stepOf[op.size];
  const { entryBytes } = shapes[tree.format];
  if (op.size !== '4k' && (op.size === '4m') !== (tree.format === 'leg32')) {
    const expected = tree.format === 'leg32' ? '4k or 4m' : '4k or 2m';
    fail(op, 'size', { found: `no ${op.size} pages in the ${tree.format} tree "${tree.name}"`, expected });
  }
  checkReach(op, 'gva', tree, plus(op.gva, (op.count - 1) * step));
  checkEntryAddress(op, tree, plus(op.gpa, (op.count - 1) * step));
  const flags = entryFlags(op.flags);
  for (let i = 0; i < op.count; i++) {
    const entry = context.trees.reach(tree, plus(op.gva, i * step), op.size === '4k' ? 1 : 2);
    if (typeof entry === 'string') noEntry(op, entry, plus(op.gva, i * step), tree);
    const gpa = plus(op.gpa, i * step);
    const lo = gpa.lo | flags.lo | (op.size === '4k' ? 0 : 0x80);
    context.trees.write(entry, lo, gpa.hi | flags.hi, entryBytes);
  }
}

/** The first 2 MiB mapped to themselves, and where ring 3 can exist the first 256 KiB once more for it. */
function ident(context: Context, op: Of<'ident'>): void {
  const { pt, line } = op;
  const tree = context.tree(op, 'pt', pt);
  const zero = u64(0);
  const base = { op: 'map', line, pt, gpa: zero, size: '4k' } as const;
  map(context, { ...base, gva: zero, count: 512, flags: op.global ? 'pwg' : 'pw' }, tree);
  if (shapes[tree.format].levels >= 4) map(context, { ...base, gva: u64(at.alias), count: 64, flags: 'pwu' }, tree);
}

/** Refuses an address that the tree's format cannot map. */
export function checkReach(op: Op, field: string, tree: Tree, last: U64): void {
  if (inReach(tree.format, last)) return;
  const { addressBits, signed } = shapes[tree.format];
  fail(op, field, {
    found: `${hexOf(last)} is outside the ${tree.format} tree "${tree.name}"`,
    expected: `addresses of ${addressBits} bits${signed ? ', or sign-extended ones' : ''}`,
  });
}

/** Refuses an address that an entry has no room for. */
export function checkEntryAddress(op: Op, tree: Tree, last: U64): void {
  const bits = tree.format === 'leg32' ? 32 : 52;
  if (fits(last, bits)) return;
  fail(op, 'gpa', {
    found: `${hexOf(last)} does not fit an entry of the ${tree.format} tree "${tree.name}"`,
    expected: `an address of at most ${bits} bits`,
  });
}

/** Why there is no entry, in words. */
export function noEntry(op: Op, why: WalkStop, gva: U64, tree: Tree): never {
  if (why === 'pool-exhausted') poolExhausted(op);
  if (why === 'large-page') {
    const found = `a large page covers ${hexOf(gva)} in "${tree.name}"`;
    fail(op, 'gva', { found, expected: 'an address with a table above it' });
  }
  const found = `no table for ${hexOf(gva)} in "${tree.name}"`;
  fail(op, 'gva', { found, expected: 'an address in a region that a "map" before it made tables for' });
}

function poolExhausted(op: Op): never {
  const pages = (POOL.end - POOL.start) / 4096;
  fail(op, 'op', {
    found: 'the page-table pool is exhausted',
    expected: `at most ${pages} table pages (0x${POOL.start.toString(16)} to 0x${POOL.end.toString(16)})`,
    suggestion: 'fewer trees, or regions that share tables',
  });
}

/** A tree whose PDPTEs an op is about. */
export function paeTree(context: Context, op: Op, name: string): Tree {
  const tree = context.tree(op, 'pt', name);
  if (tree.format === 'pae') return tree;
  fail(op, 'pt', {
    found: `"${name}" has format ${tree.format}`,
    expected: 'a pae tree: others have no PDPTEs to keep',
  });
}

function vmcb(context: Context, op: Of<'vmcb'>): void {
  context.fresh(op, op.name, context.vmcbs);
  if (op.address % 4096 !== 0) {
    const found = `VMCB address 0x${op.address.toString(16)} is not aligned`;
    fail(op, 'address', { found, expected: 'a multiple of 0x1000 (VMRUN refuses others)' });
  }
  context.vmcbs.set(op.name, {
    name: op.name,
    address: op.address,
    asid: op.asid,
    cr0: (cr0Bits.PG | cr0Bits.PE | cr0Bits.WP | cr0Bits.ET) >>> 0,
    cr3: context.tree(op, 'pt', op.pt).root,
    cr4: cr4Bits.PAE,
    efer: eferBits.LME | eferBits.LMA | eferBits.NX | eferBits.SVME,
    nestedCr3: op.npt === '-' ? undefined : context.tree(op, 'npt', op.npt).root,
  });
}

/** CR0.NE and CR4.VMXE are fixed to 1 in VMX operation (SDM vol. 3D A.7, A.8). */
const NE = cr0Bits.NE;
const VMXE = 0x2000;

function vmcs(context: Context, op: Of<'vmcs'>): void {
  context.fresh(op, op.name, context.vmcses);
  const ept = op.ept === '-' ? undefined : context.tree(op, 'ept', op.ept);
  if (ept && shapes[ept.format].levels < 4) {
    fail(op, 'ept', { found: `"${op.ept}" has format ${ept.format}`, expected: 'an l4 or l5 tree for EPT' });
  }
  context.vmcses.set(op.name, {
    name: op.name,
    address: at.vmcses + 4096 * context.vmcses.size,
    vpid: op.vpid ?? 0,
    cr0: (cr0Bits.PG | cr0Bits.PE | cr0Bits.WP | cr0Bits.ET | NE) >>> 0,
    cr3: context.tree(op, 'pt', op.pt).root,
    cr4: cr4Bits.PAE | VMXE,
    efer: eferBits.LME | eferBits.LMA | eferBits.NX,
    ept: ept && { root: ept.root, levels: ept.format === 'l5' ? 5 : 4 },
  });
}
