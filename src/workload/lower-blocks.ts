// SPDX-License-Identifier: GPL-2.0-only
import type { Context, CpuState } from './context.ts';
import { length, only } from './encoding.ts';
import { fail } from './mistakes.ts';
import type { BlockOp } from './ops.ts';
import { touches } from './touches.ts';

type Of<Name extends BlockOp['op']> = Extract<BlockOp, { op: Name }>;

/** Loop counters fill 0x600 to 0x7ff. */
const MAX_LOOPS = 64;
const MAX_NESTING = 128;

/** Blocks; `lowerBody` goes through the ops inside. */
export function lowerBlock(context: Context, op: BlockOp, lowerBody: () => void): void {
  context.needKernel(op);
  if (++context.nesting > MAX_NESTING) {
    fail(op, 'op', {
      found: 'blocks are nested too deep',
      expected: `at most ${MAX_NESTING} blocks inside one another`,
    });
  }
  switch (op.op) {
    case 'repeat':
      repeat(context, op, lowerBody);
      break;
    case 'if':
      condition(context, op, lowerBody);
      break;
    case 'user':
      user(context, op, lowerBody);
      break;
    case 'l2':
      l2(context, op, lowerBody);
      break;
    case 'on':
      on(context, op, lowerBody);
  }
  context.nesting--;
}

function repeat(context: Context, op: Of<'repeat'>, lowerBody: () => void): void {
  const { depth } = context;
  const { bits } = context.cpu;
  if (depth >= MAX_LOOPS) {
    fail(op, 'op', { found: 'loops are nested too deep', expected: `at most ${MAX_LOOPS} loops inside one another` });
  }
  context.emitBlock(op, { bytes: length.loopStart[bits], touches: touches.loopStart(depth) }, () => {
    const before = context.cpus.map((cpu) => ({ ...cpu }));
    context.depth = depth + 1;
    context.deepest = Math.max(context.deepest, context.depth);
    const body = context.collect(lowerBody);
    context.depth = depth;
    checkRestored(context, op, before);
    const closeAddress = context.codeAddress;
    context.code += length.loopEnd[bits];
    return { kind: 'repeat', count: op.count, body, closeAddress, roundTouches: touches.loopRound(depth) };
  });
}

function condition(context: Context, op: Of<'if'>, lowerBody: () => void): void {
  context.emitBlock(op, { bytes: length.condition[context.cpu.bits], touches: touches.condition }, () => {
    const before = context.cpus.map((cpu) => ({ ...cpu }));
    const body = context.collect(lowerBody);
    checkRestored(context, op, before);
    return { kind: 'if', feature: op.feature, body, endAddress: context.codeAddress };
  });
}

/** What follows a loop or condition must not depend on whether its body ran, or how often. */
function checkRestored(context: Context, op: Of<'repeat' | 'if'>, before: readonly CpuState[]): void {
  for (const [vcpu, old] of before.entries()) {
    const now = context.cpus[vcpu]!;
    for (const register of ['cr0', 'cr4', 'efer', 'bits'] as const) {
      if (old[register] === now[register]) continue;
      const [from, to] = [old[register], now[register]].map((value) => (register === 'bits' ? `${value}` : hex(value)));
      const name = register === 'bits' ? 'code width' : register;
      const where = context.cpus.length > 1 ? ` of vCPU ${vcpu}` : '';
      fail(op, 'close', {
        found: `this "${op.op}" begins with ${name}${where} = ${from} and ends with ${to}`,
        expected: 'cr0, cr4, efer and mode as at its beginning',
      });
    }
  }
}

const hex = (value: number): string => `0x${value.toString(16)}`;

function user(context: Context, op: Of<'user'>, lowerBody: () => void): void {
  context.needBits(op, 64);
  context.emitBlock(op, { bytes: only.user, touches: touches.user }, () => {
    context.cpl = 3;
    const body = context.collect(lowerBody);
    const closeAddress = context.codeAddress;
    context.code += only.int80;
    context.cpl = 0;
    return { kind: 'user', body, closeAddress, afterTouches: touches.endUser };
  });
}

/** The block stands in the code where it is defined, behind a jump over it. */
function l2(context: Context, op: Of<'l2'>, lowerBody: () => void): void {
  context.needBits(op, 64);
  if (context.block) fail(op, 'op', { found: '"l2" inside "l2"', expected: 'blocks beside one another' });
  const draft = context.draft(op.name);
  if (draft.defined) fail(op, 'name', { found: `L2 block "${op.name}" is defined twice`, expected: 'a new name' });
  draft.defined = true;
  context.code += only.skipBlock;
  draft.codeAddress = context.code;
  const before = { ...context.cpu };
  const { deepest, depth } = context;
  context.block = draft;
  context.deepest = depth;
  draft.body = context.collect(lowerBody);
  draft.counters = [depth, context.deepest];
  context.deepest = Math.max(deepest, context.deepest);
  context.block = undefined;
  if (context.cpu.bits !== 64) {
    const found = `L2 block "${op.name}" ends in ${context.cpu.bits}-bit code`;
    fail(op, 'close', { found, expected: '64-bit code, as it began', suggestion: 'far64' });
  }
  draft.closeAddress = context.code;
  context.code += only.vmmcall;
  Object.assign(context.cpu, before);
}

function on(context: Context, op: Of<'on'>, lowerBody: () => void): void {
  if (context.block) fail(op, 'op', { found: '"on" inside "l2"', expected: '"l2" inside "on"' });
  if (op.vcpu >= context.cpus.length) {
    const expected = `a vCPU from 0 to ${context.cpus.length - 1}`;
    fail(op, 'vcpu', { found: `no vCPU ${op.vcpu}`, expected, suggestion: `vcpus ${op.vcpu + 1}` });
  }
  const outer = context.vcpu;
  context.vcpu = op.vcpu;
  lowerBody();
  context.vcpu = outer;
}
