// SPDX-License-Identifier: GPL-2.0-only
import type { Width } from '../../workload/encoding.ts';
import type { Step } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { u64 } from '../../workload/u64.ts';
import { loopOpen, skipUnless, user, vmrun } from './block-code.ts';
import * as x86 from './instructions.ts';
import { type Bytes, plain, reg, segment } from './instructions.ts';
import { access, invpcid, store, touch } from './memory-code.ts';
import { recover } from './recover.ts';

const EFER = 0xc0000080;
const selectors = { code32: 0x08, data: 0x10, code64: 0x18, tss: 0x38 } as const;
const ports = { phase: 0x510, smi: 0x511 } as const;

/** A step that has a form in machine code; the others exist in the model only, and `checkRecordable` refuses them. */
export type CodeStep = Exclude<Step, { kind: 'bulk' | 'vmentry' | 'memslot' }>;
type Of<Kind extends Step['kind']> = Extract<Step, { kind: Kind }>;

/** Machine code of the step's own part, which stands at `codeAddress`; that of a block is what stands before its body. */
export function stepCode(step: CodeStep): Bytes {
  const { bits } = step;
  switch (step.kind) {
    case 'cr0':
      // The CR0 write that touches memory is that of prot32, which loads GDTR before it.
      return [...(step.touches.length > 0 ? [...plain.cli, ...x86.lgdt16(at.gdtr)] : []), ...writeCr(step, 0)];
    case 'cr3':
      return writeCr(step, 3);
    case 'cr4':
      return writeCr(step, 4);
    case 'efer':
      return [...recover(step), ...writeMsr(bits, EFER, step.value)];
    case 'wrmsr':
      return writeMsr(bits, step.index, step.value);
    case 'far':
      return far(step);
    case 'access':
      return access(step);
    case 'touch':
      return touch(step);
    case 'realread':
      return x86.loadReal(step.offset);
    case 'store':
      return store(step);
    case 'invlpg':
      return [...x86.movImmediate(bits, reg.di, step.gva), ...x86.invlpgDi(bits)];
    case 'invpcid':
      return invpcid(step);
    case 'wrpkru':
      return [...recover(step), ...writePkru(step.value)];
    case 'ac':
      return [...recover(step), ...(step.value ? plain.stac : plain.clac)];
    case 'phase':
      return [
        ...(bits === 16 ? [] : x86.storeImmediate(bits, at.phaseNumber, step.index)),
        ...x86.movDx(bits, ports.phase),
        ...x86.mov32(bits, reg.ax, step.index),
        ...x86.outEax(bits),
      ];
    case 'smi':
      return [...x86.movDx(bits, ports.smi), ...x86.outAl];
    case 'halt':
      return plain.hlt;
    case 'vmrun':
      return vmrun(step);
    case 'user':
      return user(step);
    case 'repeat':
      return loopOpen(step);
    case 'if':
      return skipUnless(step);
  }
}

function writeCr(step: Of<'cr0' | 'cr3' | 'cr4'>, number: 0 | 3 | 4): Bytes {
  const value = typeof step.value === 'number' ? u64(step.value) : step.value;
  return [...recover(step), ...x86.movImmediate(step.bits, reg.ax, value), ...x86.movToCr(number)];
}

/** WRMSR with a high half of 0. */
const writeMsr = (bits: Width, index: number, value: number): Bytes => [
  ...x86.mov32(bits, reg.cx, index),
  ...x86.mov32(bits, reg.ax, value),
  ...x86.xor32(bits, reg.dx),
  ...plain.wrmsr,
];

/** WRPKRU wants ECX and EDX to be 0. */
const writePkru = (value: number): Bytes => [
  ...x86.xor32(64, reg.cx),
  ...x86.xor32(64, reg.dx),
  ...x86.mov32(64, reg.ax, value),
  ...plain.wrpkru,
];

/** The far transfer to the instruction after it, then data segments, stack and IDTR; from real mode FS and GS too. */
function far(step: Of<'far'>): Bytes {
  const { bits, codeAddress, to, ltr } = step;
  const selector = to === 64 ? selectors.code64 : selectors.code32;
  const { ds, es, ss, fs, gs } = segment;
  const loads = bits === 16 ? [ds, es, ss, fs, gs] : [ds, es, ss];
  return [
    ...(bits === 64 ? farReturn(selector) : x86.jmpFar(bits, selector, codeAddress + x86.jmpFar(bits, 0, 0).length)),
    ...x86.movAx(selectors.data),
    ...loads.flatMap((number) => x86.movToSegment(number)),
    ...x86.mov32(to, reg.sp, at.stack),
    ...x86.lidt(to, to === 64 ? at.idtr64 : at.idtr32),
    ...(ltr ? [...x86.movAx(selectors.tss), ...x86.ltrAx] : []),
  ];
}

/** 64-bit code has no far JMP with an immediate: push selector and address, return to them. */
function farReturn(selector: number): Bytes {
  const rest = [...x86.push(reg.ax), ...plain.retfq];
  return [...x86.pushByte(selector), ...x86.leaRip(reg.ax, rest.length), ...rest];
}
