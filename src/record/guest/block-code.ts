// SPDX-License-Identifier: GPL-2.0-only
import { features } from '../../workload/bits.ts';
import type { Step } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { u64 } from '../../workload/u64.ts';
import * as x86 from './instructions.ts';
import { type Bytes, plain, reg } from './instructions.ts';
import { endOf } from './recover.ts';

type Of<Kind extends Step['kind']> = Extract<Step, { kind: Kind }>;

/** Selectors of ring 3, and the top of its stack: code of ring 3 never pushes. */
const RING3 = { data: 0x33, code: 0x2b, stack: at.alias + 0x7ff0 } as const;
/** Its low three bits; the fourth is in the REX prefix. */
const R14 = 14 & 7;
/** RFLAGS of ring 3: bit 1 is always 1. */
const RFLAGS = 0x2;
/** Offsets in a VMCB. APM vol. 2 appendix B. */
const vmcbRip = 0x578;
const vmcbExitCode = 0x70;

/** Stores the count of a loop. */
export const loopOpen = (step: Of<'repeat'>): Bytes => x86.storeImmediate(step.bits, counterOf(step), step.count, true);

/** Machine code at a loop's `closeAddress`: back to the first op of its body until the counter is 0. */
export function loopClose(step: Of<'repeat'>): Bytes {
  const { bits, closeAddress } = step;
  const count = x86.decMemory(bits, counterOf(step));
  const end = closeAddress + count.length + x86.jnzNear(bits, 0).length;
  return [...count, ...x86.jnzNear(bits, endOf(step) - end)];
}

/** The loop counter is the first thing that a loop touches. */
const counterOf = (step: Of<'repeat'>): number => step.touches[0]!.address;

/** Jumps over the body of an `if` when the CPU lacks the feature. */
export const skipUnless = (step: Of<'if'>): Bytes => [
  ...x86.testMemory(step.bits, at.features, features[step.feature]),
  ...x86.jzNear(step.bits, step.endAddress - endOf(step)),
];

/** The way to ring 3: SS, RSP, RFLAGS, CS and RIP of the alias for IRETQ; R14 has the address to come back to. */
export function user(step: Of<'user'>): Bytes {
  const { length } = x86.leaRip(R14, 0, true);
  const after = step.closeAddress - at.alias + plain.int80.length;
  return [
    ...x86.leaRip(R14, after - (step.codeAddress + length), true),
    ...x86.pushByte(RING3.data),
    ...x86.mov32(64, reg.ax, RING3.stack),
    ...x86.push(reg.ax),
    ...x86.pushByte(RFLAGS),
    ...x86.pushByte(RING3.code),
    ...x86.movWhole(reg.ax, u64(endOf(step) + at.alias)),
    ...x86.push(reg.ax),
    ...plain.iretq,
  ];
}

/** Puts the block's address into the VMCB and runs it with the host's interrupts off; the exit code goes to memory. */
export function vmrun(step: Of<'vmrun'>): Bytes {
  // The guest code stores RIP first, so that is where the VMCB lies.
  const vmcb = step.touches[0]!.address - vmcbRip;
  return [
    ...x86.movWhole(reg.ax, u64(step.block.codeAddress)),
    ...x86.storeRax(vmcb + vmcbRip),
    ...x86.mov32(64, reg.ax, vmcb),
    ...plain.clgi,
    ...plain.vmload,
    ...plain.vmrun,
    ...plain.vmsave,
    ...plain.stgi,
    ...x86.loadRax(vmcb + vmcbExitCode),
    ...x86.storeRax(at.vmexitCode),
  ];
}
