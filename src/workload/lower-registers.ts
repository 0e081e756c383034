// SPDX-License-Identifier: GPL-2.0-only
import { changeBits, cr0Bits, cr4Bits, eferBits } from './bits.ts';
import type { Context } from './context.ts';
import { length, movImmediate, only } from './encoding.ts';
import { fail } from './mistakes.ts';
import type { Op, RegisterOp } from './ops.ts';
import { touches } from './touches.ts';
import { type U64, u64 } from './u64.ts';

const VM_HSAVE_PA = 0xc0010117;

/** Register writes and mode switches. `lower` is for the ops that stand for several others. */
export function lowerRegister(context: Context, op: RegisterOp, lower: (op: Op) => void): void {
  if (op.op !== 'wrpkru' && op.op !== 'stac' && op.op !== 'clac') context.needKernel(op);
  const { cpu } = context;
  const { bits } = cpu;
  switch (op.op) {
    case 'prot32':
      protectedMode(context, op);
      break;
    case 'far64':
      context.needBits(op, 32, 64);
      if (!(cpu.cr0 & cr0Bits.PG) || !(cpu.efer & eferBits.LME)) {
        const expected = 'long mode before it: efer +LME and cr0 +PG';
        fail(op, 'op', { found: 'far64 outside long mode', expected, suggestion: 'enterlong PT' });
      }
      far(context, op, 64, op.ltr === true);
      break;
    case 'far32':
      context.needBits(op, 32, 64);
      far(context, op, 32, false);
      break;
    case 'enterlong':
    case 'svmon':
      for (const each of expand(op)) lower(each);
      if (op.op === 'svmon') {
        context.emit(op, { kind: 'wrmsr', index: VM_HSAVE_PA, value: 0x40000 }, length.wrmsr[bits]);
      }
      break;
    case 'cr0':
      cpu.cr0 = changeBits(cpu.cr0, op.bits, cr0Bits);
      context.emit(op, { kind: 'cr0', value: cpu.cr0 }, movCr(bits, u64(cpu.cr0)));
      break;
    case 'cr4':
      cpu.cr4 = changeBits(cpu.cr4, op.bits, cr4Bits);
      context.emit(op, { kind: 'cr4', value: cpu.cr4, tentative: false }, movCr(bits, u64(cpu.cr4)));
      break;
    case 'cr4try': {
      const value = changeBits(cpu.cr4, op.bits, cr4Bits);
      context.emit(op, { kind: 'cr4', value, tentative: true }, movCr(bits, u64(value)));
      return;
    }
    case 'efer':
      cpu.efer = changeBits(cpu.efer, op.bits, eferBits);
      context.emit(op, { kind: 'efer', value: cpu.efer }, length.recover[bits] + length.wrmsr[bits]);
      break;
    case 'cr3': {
      const { root } = context.tree(op, 'pt', op.pt);
      if (op.noflush) context.needBits(op, 64);
      const low = (op.pcid ?? 0) | (op.pwt ? 8 : 0) | (op.pcd ? 16 : 0);
      const value = u64(root | low, op.noflush ? 0x80000000 : 0);
      context.emit(op, { kind: 'cr3', value, tree: op.pt }, movCr(bits, value));
      return;
    }
    case 'wrpkru':
      context.needBits(op, 64);
      context.emit(op, { kind: 'wrpkru', value: op.value }, length.recover[64] + only.wrpkru);
      break;
    case 'stac':
    case 'clac':
      context.emit(op, { kind: 'ac', value: op.op === 'stac' ? 1 : 0 }, length.recover[bits] + length.stac[bits]);
  }
}

/** The ops that `enterlong` and `svmon` stand for; `svmon` writes one more register, which no op can. */
export function expand(op: Extract<Op, { op: 'enterlong' | 'svmon' }>): Op[] {
  const { line } = op;
  if (op.op === 'svmon') return [{ op: 'efer', line, bits: ['+SVME'] }];
  return [
    { op: 'cr4', line, bits: ['+PAE', ...op.bits] },
    { op: 'cr3', line, pt: op.pt },
    { op: 'efer', line, bits: ['+LME', '+NX'] },
    { op: 'cr0', line, bits: ['+WP', '+PG'] },
    { op: 'far64', line, ltr: true },
  ];
}

const movCr = (bits: 16 | 32 | 64, value: U64): number =>
  length.recover[bits] + movImmediate(bits, value) + length.movCr[bits];

function protectedMode(context: Context, op: Op): void {
  context.needBits(op, 16);
  const { cpu } = context;
  cpu.cr0 = (cpu.cr0 | cr0Bits.PE) >>> 0;
  context.emit(op, { kind: 'cr0', value: cpu.cr0 }, only.lgdt16 + movCr(16, u64(cpu.cr0)), touches.lgdt);
  const bytes = length.far[16] + only.segmentsProt32;
  context.emit(op, { kind: 'far', to: 32, ltr: false }, bytes, touches.far(16, 32, 5, false));
  cpu.bits = 32;
}

function far(context: Context, op: Op, to: 32 | 64, ltr: boolean): void {
  const { bits } = context.cpu;
  const segments = to === 64 ? only.segments64 : only.segments32;
  const bytes = length.far[bits] + segments + (ltr ? only.ltr : 0);
  context.emit(op, { kind: 'far', to, ltr }, bytes, touches.far(bits, to, 3, ltr));
  context.cpu.bits = to;
}
