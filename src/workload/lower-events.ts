// SPDX-License-Identifier: GPL-2.0-only
import { eferBits } from './bits.ts';
import type { Context, Run } from './context.ts';
import { length, only } from './encoding.ts';
import { fail } from './mistakes.ts';
import type { EventOp } from './ops.ts';
import { none, touches } from './touches.ts';

/** The monitor keeps 255 phase names. */
const MAX_PHASES = 255;

/** Markers, SMIs, runs of L2 blocks, host events. */
export function lowerEvent(context: Context, op: EventOp): void {
  context.needKernel(op);
  const { bits } = context.cpu;
  switch (op.op) {
    case 'phase': {
      if (!context.phases.includes(op.name)) context.phases.push(op.name);
      if (context.phases.length > MAX_PHASES) {
        fail(op, 'name', { found: 'too many phases', expected: `at most ${MAX_PHASES} different names` });
      }
      const index = context.phases.indexOf(op.name) + 1;
      const bytes = length.phaseNumber[bits] + length.phase[bits];
      context.emit(op, { kind: 'phase', index, name: op.name }, bytes, bits === 16 ? none : touches.phaseNumber);
      break;
    }
    case 'smi':
      context.emit(op, { kind: 'smi' }, length.smi[bits]);
      break;
    case 'halt':
      context.emit(op, { kind: 'halt' }, only.hlt);
      break;
    case 'memslot':
      context.emit(op, { kind: 'memslot', action: op.action }, 0);
      break;
    case 'vmrun':
    case 'vmentry':
      run(context, op);
      break;
  }
}

function run(context: Context, op: Extract<EventOp, { op: 'vmrun' | 'vmentry' }>): void {
  context.needBits(op, 64);
  if (context.block) fail(op, 'op', { found: `"${op.op}" inside "l2"`, expected: 'L1 code: there is no L3' });
  const block = context.draft(op.block);
  context.runs.push({ op, block, depth: context.depth });
  if (op.op === 'vmentry') {
    context.defined(op, 'vmcs', op.vmcs, { what: 'VMCS', among: context.vmcses, by: 'vmcs' });
    context.emit(op, { kind: 'vmentry', vmcs: op.vmcs, block }, only.vmentry);
    return;
  }
  const { address } = context.defined(op, 'vmcb', op.vmcb, { what: 'VMCB', among: context.vmcbs, by: 'vmcb' });
  if (!(context.cpu.efer & eferBits.SVME)) {
    fail(op, 'op', { found: '"vmrun" while EFER.SVME is 0', expected: '"svmon" before it', suggestion: 'svmon' });
  }
  const afterTouches = touches.afterVmrun(address);
  context.emit(op, { kind: 'vmrun', vmcb: op.vmcb, block, afterTouches }, only.vmrun, touches.vmrun(address));
}

/** A run must find its block, and the block's loops must not use the counters of the loops that run around it. */
export function checkRun(context: Context, { op, block, depth }: Run): void {
  const among = new Map([...context.blocks].filter(([, each]) => each.defined));
  context.defined(op, 'block', block.name, { what: 'L2 block', among, by: 'l2' });
  const [first, end] = block.counters;
  if (first >= Math.min(end, depth)) return;
  fail(op, 'op', {
    found: `a loop around "${op.op}" and a loop in block "${block.name}" share a counter`,
    expected: 'a block whose loops begin deeper than the loops it runs in',
    suggestion: `move "l2 ${block.name}" inside the loop`,
  });
}
