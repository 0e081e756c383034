// SPDX-License-Identifier: GPL-2.0-only
import { entryFlags } from './bits.ts';
import type { Context } from './context.ts';
import { length, movImmediate, only } from './encoding.ts';
import { checkEntryAddress, checkReach, noEntry, paeTree } from './lower-setup.ts';
import { fail } from './mistakes.ts';
import type { MemoryOp, Op } from './ops.ts';
import { touches } from './touches.ts';
import { shapes } from './trees.ts';
import { hexOf, plus, type U64, u64, u64Of } from './u64.ts';

/** Where in a page `r` reads and `w` writes; its first bytes are code, for `x`. */
const READ_AT = 0x10;
const WRITE_AT = 0x18;

/** Accesses, stores into the guest's structures, invalidations. */
export function lowerMemory(context: Context, op: MemoryOp): void {
  const { bits } = context.cpu;
  switch (op.op) {
    case 'r':
    case 'w':
    case 'x': {
      if (op.op === 'x') context.needBits(op, 32, 64);
      const gva = plus(op.gva, op.op === 'r' ? READ_AT : op.op === 'w' ? WRITE_AT : 0);
      checkLinear(context, op, gva);
      const use = { r: length.load, w: length.store, x: length.jump }[op.op][bits];
      const bytes = length.recover[bits] + movImmediate(bits, op.gva) + use;
      context.emit(op, { kind: 'access', gva, access: op.op }, bytes);
      break;
    }
    case 'touchr':
    case 'touchw':
      touch(context, op);
      break;
    case 'real_r':
      context.needBits(op, 16);
      context.needKernel(op);
      context.emit(op, { kind: 'realread', offset: op.offset }, only.realRead);
      break;
    case 'bulk':
      bulk(context, op);
      break;
    case 'pte':
      pte(context, op);
      break;
    case 'pdptes':
      pdptes(context, op);
      break;
    case 'invlpg':
      context.needKernel(op);
      checkLinear(context, op, op.gva);
      context.emit(op, { kind: 'invlpg', gva: op.gva }, movImmediate(bits, op.gva) + length.invlpg[bits]);
      break;
    case 'invpcid': {
      context.needKernel(op);
      context.needBits(op, 64);
      const { type, pcid = 0, gva = u64(0) } = op;
      const bytes = length.recover[64] + only.invpcid + movImmediate(64, gva);
      context.emit(op, { kind: 'invpcid', type, pcid, gva }, bytes, touches.invpcid);
      break;
    }
    case 'vmcbset':
      vmcbset(context, op);
      break;
  }
}

/** Refuses addresses that code of this width cannot form; 64-bit code can form all, and a fault is the guest's to see. */
function checkLinear(context: Context, op: Op, last: U64): void {
  const { bits } = context.cpu;
  if (bits === 64) return;
  const limit = bits === 32 ? 0xffffffff : 0xffff;
  if (last.hi === 0 && last.lo <= limit) return;
  const mode = bits === 32 ? '32-bit code' : 'real mode';
  fail(op, 'gva', { found: `${hexOf(last)} is out of reach in ${mode}`, expected: `at most ${hexOf(u64(limit))}` });
}

function touch(context: Context, op: Extract<MemoryOp, { op: 'touchr' | 'touchw' }>): void {
  const { bits } = context.cpu;
  const { count, stride = 0x1000 } = op;
  const access = op.op === 'touchr' ? 'r' : 'w';
  const gva = plus(op.gva, access === 'r' ? READ_AT : WRITE_AT);
  if ((count - 1) * stride >= 2 ** 32) checkLinear(context, op, u64Of(2 ** 32));
  checkLinear(context, op, plus(gva, (count - 1) * stride));
  const add = stride < 0x80 ? length.addShort : length.addLong;
  const body = (access === 'r' ? length.load : length.store)[bits] + add[bits] + length.countDown[bits];
  const bytes = length.recover[bits] + movImmediate(bits, op.gva) + length.movCount[bits] + body;
  context.emit(op, { kind: 'touch', gva, access, count, stride }, bytes);
}

/** xorshift32 never leaves zero, and its state begins as this constant ^ seed. */
const DEAD_SEED = 0x9e3779b9;

function bulk(context: Context, op: Extract<MemoryOp, { op: 'bulk' }>): void {
  const { access, pages, count, distribution, seed } = op;
  const { bits } = context.cpu;
  context.needBits(op, 32, 64);
  if (seed === DEAD_SEED) fail(op, 'seed', { found: `seed=${seed} gives zeros only`, expected: 'any other seed' });
  const gva = plus(op.gva, access === 'r' ? READ_AT : WRITE_AT);
  checkLinear(context, op, plus(gva, (pages - 1) * 4096));
  const body = (access === 'r' ? length.load : length.store)[bits] + length.addLong[bits] + length.countDown[bits];
  const bytes = length.recover[bits] + movImmediate(bits, op.gva) + length.movCount[bits] + body;
  context.emit(op, { kind: 'bulk', gva, access, pages, count, distribution, seed }, bytes);
}

function pte(context: Context, op: Extract<MemoryOp, { op: 'pte' }>): void {
  context.needKernel(op);
  context.needBits(op, 32, 64);
  const { bits } = context.cpu;
  const tree = context.tree(op, 'pt', op.pt);
  const { levels, entryBytes } = shapes[tree.format];
  if (op.level > levels) {
    const found = `level ${op.level} in the ${tree.format} tree "${tree.name}"`;
    fail(op, 'level', { found, expected: `a level from 1 to ${levels}` });
  }
  checkReach(op, 'gva', tree, op.gva);
  if (op.flags === '0' && op.gpa) {
    fail(op, 'gpa', { found: 'an empty entry has no address', expected: 'pte PT GVA LEVEL 0' });
  }
  if (op.gpa) checkEntryAddress(op, tree, op.gpa);
  const entry = context.trees.find(tree, op.gva, op.level);
  if (typeof entry === 'string') noEntry(op, entry, op.gva, tree);
  const value = entryBytes === 8 ? entryValue(op) : u64(entryValue(op).lo);
  const bytes = movImmediate(bits, u64(entry)) + movImmediate(bits, value) + length.storeWord[bits];
  // The store is as wide as the code: 32-bit code writes half of an 8-byte entry, 64-bit code two 4-byte ones.
  const hi = bits === 64 ? value.hi : 0;
  const store = { address: entry, bytes: bits === 64 ? 8 : 4, lo: value.lo, hi } as const;
  context.emit(op, { kind: 'store', ...store, what: 'pte', of: op.pt }, bytes);
}

/** The entry a `pte` writes. `T` makes a large page above level 1 and is nothing at level 1. */
function entryValue({ flags, gpa, level }: Extract<MemoryOp, { op: 'pte' }>): U64 {
  if (!gpa) return u64(0);
  const bits = entryFlags(flags);
  const large = level > 1 && flags.includes('T');
  const lo = gpa.lo | (bits.lo & ~8) | (large ? 0x80 : 0);
  return u64(level > 1 && !large ? lo & ~0x80 : lo, gpa.hi | bits.hi);
}

function pdptes(context: Context, op: Extract<MemoryOp, { op: 'pdptes' }>): void {
  context.needKernel(op);
  context.needBits(op, 32, 64);
  const { bits } = context.cpu;
  const { root, pages } = paeTree(context, op, op.pt);
  for (let i = 0; i < 4; i++) {
    const store = { address: root + 8 * i, bytes: 4, lo: pages[1 + i]! | 1, hi: 0 } as const;
    const bytes = 5 + 5 + length.storeHalf[bits];
    context.emit(op, { kind: 'store', ...store, what: 'pdpte', of: op.pt }, bytes);
  }
}

function vmcbset(context: Context, op: Extract<MemoryOp, { op: 'vmcbset' }>): void {
  context.needKernel(op);
  context.needBits(op, 64);
  const among = { what: 'VMCB', among: context.vmcbs, by: 'vmcb' };
  const address = context.defined(op, 'vmcb', op.vmcb, among).address + op.offset;
  const value = typeof op.value === 'string' ? u64(context.tree(op, 'value', op.value).root) : op.value;
  const store = { address, bytes: op.width, lo: value.lo, hi: op.width === 8 ? value.hi : 0 } as const;
  const bytes = movImmediate(64, u64(address)) + movImmediate(64, value) + (op.width === 8 ? 3 : 2);
  context.emit(op, { kind: 'store', ...store, what: 'vmcb', of: op.vmcb }, bytes);
}
