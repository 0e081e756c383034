// SPDX-License-Identifier: GPL-2.0-only
import type { Touch } from './program.ts';

/** Where the guest keeps its things; docs/ops.md has the whole map. */
export const at = {
  loopCounters: 0x600,
  faultCount: 0x800,
  phaseNumber: 0x810,
  vmexitCode: 0x820,
  features: 0x830,
  invpcidDescriptor: 0x840,
  gdt: 0x1000,
  gdtr: 0x1100,
  idtr32: 0x1120,
  idtr64: 0x1140,
  tss: 0x1200,
  idt32: 0x2000,
  idt64: 0x3000,
  /** Top of the stack that a fault or INT 0x80 from ring 3 switches to (TSS.RSP0). */
  ring0Stack: 0x5000,
  /** Top of the stack of the straight-line code. */
  stack: 0x6000,
  code: 0x8000,
  codeEnd: 0x30000,
  smmHandler: 0x38000,
  hostSave: 0x40000,
  faultLog: 0x50000,
  vmcses: 0x60000,
  /** User-mode alias of the first 256 KiB. */
  alias: 0x40000000,
} as const;

const r = (address: number): Touch => ({ address, access: 'r' });
const w = (address: number): Touch => ({ address, access: 'w' });
const u = (address: number): Touch => ({ address, access: 'u' });

/** GDT entry of a selector. */
const descriptor = (selector: number): number => at.gdt + (selector & ~7);

/** `count` pushes of `size` bytes below `top`. */
const pushes = (top: number, count: number, size: number): Touch[] =>
  Array.from({ length: count }, (_, i) => w(top - size * (i + 1)));

/** The reads that take `count` words of `size` bytes off a stack whose top is `top`. */
const pops = (top: number, count: number, size: number): Touch[] =>
  Array.from({ length: count }, (_, i) => r(top - size * (count - i)));

/** Whether an address is on one of the two pages of stack, where the guest's own writes are pushes. */
export const isOnStack = (address: number): boolean => address >= at.ring0Stack - 4096 && address < at.stack;

/** Nothing beside the step itself. */
export const none: readonly Touch[] = [];

/** Of each op, what its instructions touch. Descriptors have their accessed bit set already, so loading one only reads. */
export const touches = {
  loopStart: (depth: number): readonly Touch[] => [w(at.loopCounters + 8 * depth)],
  loopRound: (depth: number): readonly Touch[] => [u(at.loopCounters + 8 * depth)],
  condition: [r(at.features)] as readonly Touch[],
  phaseNumber: [w(at.phaseNumber)] as readonly Touch[],
  lgdt: [r(at.gdtr)] as readonly Touch[],
  invpcid: [w(at.invpcidDescriptor), w(at.invpcidDescriptor + 8), r(at.invpcidDescriptor)] as readonly Touch[],
  /** The far transfer and the segment loads after it. LTR marks the TSS descriptor busy. */
  far(from: 16 | 32 | 64, to: 32 | 64, dataSegments: 3 | 5, ltr: boolean): readonly Touch[] {
    const through = from === 64 ? [...pushes(at.stack, 2, 8), ...pops(at.stack, 2, 8)] : [];
    const data = Array.from({ length: dataSegments }, () => r(descriptor(0x10)));
    const tr = ltr ? [u(descriptor(0x38))] : [];
    return [...through, r(descriptor(to === 64 ? 0x18 : 0x08)), ...data, r(to === 64 ? at.idtr64 : at.idtr32), ...tr];
  },
  /** Five pushes, IRETQ takes them off and loads CS and SS of ring 3. */
  user: [
    ...pushes(at.stack, 5, 8),
    ...pops(at.stack, 5, 8),
    r(descriptor(0x2b)),
    r(descriptor(0x33)),
  ] as readonly Touch[],
  /** INT 0x80: gate, CS, RSP0, then SS RSP RFLAGS CS RIP on the ring 0 stack. SDM vol. 3A 6.14. */
  endUser: [
    r(at.idt64 + 16 * 0x80),
    r(descriptor(0x18)),
    r(at.tss + 4),
    ...pushes(at.ring0Stack, 5, 8),
  ] as readonly Touch[],
  /** RIP into the VMCB. What VMLOAD, VMRUN and VMSAVE read and write is no access of the guest: KVM does their work. */
  vmrun: (vmcb: number): readonly Touch[] => [w(vmcb + 0x578)],
  /** The exit code is copied to 0x820. */
  afterVmrun: (vmcb: number): readonly Touch[] => [r(vmcb + 0x70), w(at.vmexitCode)],
  smmSaves: pushes(at.stack, 2, 4) as readonly Touch[],
  smmRestores: pops(at.stack, 2, 4) as readonly Touch[],
} as const;

/** A fault as the guest's handler meets it. */
export interface GuestFault {
  readonly bits: 32 | 64;
  /** Privilege level the fault came from. */
  readonly cpl: 0 | 3;
  readonly vector: 6 | 13 | 14;
  /** How many faults the guest had before; the log holds 4096 and begins anew. */
  readonly nth: number;
}

/**
 * What delivery of a fault (the CPU's own accesses) and then the guest's handler touch, in order: gate, code segment, stack; the log entry at
 * 0x50000 + 16 * n (CR2, error code, vector and phase), the count at 0x800, and the way back. The code itself is at
 * `Program.handlers`.
 */
export function faultTouches({ bits, cpl, vector, nth }: GuestFault): { delivery: Touch[]; handler: Touch[] } {
  const size = bits === 64 ? 8 : 4;
  const top = cpl === 3 ? at.ring0Stack : at.stack;
  // 64-bit mode, and any change of ring, pushes SS and RSP too; vector 6 has no error code, so the handler pushes a 0.
  const pushed = (bits === 64 || cpl === 3 ? 5 : 3) + (vector === 6 ? 0 : 1);
  const frame = (bits === 64 || cpl === 3 ? 5 : 3) + 1;
  const log = at.faultLog + 16 * (nth % 4096);
  const gate = bits === 64 ? at.idt64 + 16 * vector : at.idt32 + 8 * vector;
  const saved = top - size * frame;
  const delivery = [
    r(gate),
    r(descriptor(bits === 64 ? 0x18 : 0x08)),
    ...(cpl === 3 ? [r(at.tss + 4)] : []),
    ...pushes(top, pushed, size),
  ];
  const handler = [
    ...(pushed < frame ? [w(saved)] : []),
    ...pushes(saved, 2, size),
    r(at.faultCount),
    w(log),
    ...(bits === 32 ? [w(log + 4)] : []),
    r(saved),
    w(log + 8),
    r(at.phaseNumber),
    w(log + 12),
    u(at.faultCount),
    ...pops(saved, 2, size),
    w(saved + size),
    ...pops(top, frame - 1, size),
    r(descriptor(cpl === 3 ? 0x33 : bits === 64 ? 0x18 : 0x08)),
    ...(cpl === 3 ? [r(descriptor(0x2b))] : []),
  ];
  return { delivery, handler };
}
