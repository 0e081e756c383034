// SPDX-License-Identifier: GPL-2.0-only
import type { Vmcb } from '../../workload/image.ts';
import type { Handlers, SmmHandler } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { vectors } from './handler-code.ts';
import { type Bytes, imm32, plain } from './instructions.ts';

/**
 * Segment descriptors by index. SDM vol. 3A 3.4.5: type and flags in bits 40 to 55, limit and base around them. All are
 * flat, and have their accessed bit set.
 */
const descriptors: readonly bigint[] = [
  0n,
  /** 0x08: 32-bit code. */
  0x00cf9b000000ffffn,
  /** 0x10: data. */
  0x00cf93000000ffffn,
  /** 0x18: 64-bit code. */
  0x00af9b000000ffffn,
  0n,
  /** 0x28: 64-bit code of ring 3. */
  0x00affb000000ffffn,
  /** 0x30: data of ring 3. */
  0x00cff3000000ffffn,
  /** 0x38: TSS at 0x1200, limit 0x67; the upper half of its base is the next entry. */
  0x0000890012000067n,
  0n,
];
const INT80 = 0x80;
const TSS_LIMIT = 0x67;

/** GDT, IDTs, TSS, and what LGDT and LIDT load. */
export function writeDescriptorTables(memory: DataView, handlers: Handlers): void {
  for (const [i, descriptor] of descriptors.entries()) memory.setBigUint64(at.gdt + 8 * i, descriptor, true);
  pointer(memory, at.gdtr, 0x7f, at.gdt);
  pointer(memory, at.idtr32, 0x7ff, at.idt32);
  pointer(memory, at.idtr64, 0xfff, at.idt64);
  // RSP0 of a 64-bit TSS. SDM vol. 3A 7.7.
  memory.setUint32(at.tss + 4, at.ring0Stack, true);
  for (const [vector] of vectors) {
    gate(memory, at.idt32 + 8 * vector, { address: handlers[32][vector], selector: 0x08, attributes: 0x8e00 });
    gate(memory, at.idt64 + 16 * vector, { address: handlers[64][vector], selector: 0x18, attributes: 0x8e00 });
  }
  // Ring 3 may use this one: DPL 3.
  gate(memory, at.idt64 + 16 * INT80, { address: handlers.int80, selector: 0x18, attributes: 0xee00 });
}

function pointer(memory: DataView, address: number, limit: number, base: number): void {
  memory.setUint16(address, limit, true);
  memory.setUint32(address + 2, base, true);
}

/** An interrupt gate to an address below 4 GiB. SDM vol. 3A 6.11, 6.14.1. */
function gate(
  memory: DataView,
  at: number,
  { address, selector, attributes }: { address: number; selector: number; attributes: number },
): void {
  memory.setUint16(at, address & 0xffff, true);
  memory.setUint16(at + 2, selector, true);
  memory.setUint16(at + 4, attributes, true);
  memory.setUint16(at + 6, address >>> 16, true);
}

/** 16-bit code: it keeps EAX and EDX, reports the phase, clears bit 5 of the words, and resumes. */
export const smmCode = ({ phase, clears }: SmmHandler): Bytes => [
  ...[0x66, 0x50, 0x66, 0x52],
  ...[0xba, 0x10, 0x05],
  ...[0x66, 0xb8, ...imm32(phase)],
  ...[0x66, 0xef],
  // AND DWORD [addr32],imm32.
  ...clears.flatMap((address) => [0x67, 0x66, 0x81, 0x25, ...imm32(address), ...imm32(~0x20)]),
  ...[0x66, 0x5a, 0x66, 0x58],
  ...plain.rsm,
];

/** Permission maps of all zeros: what an intercept would use them for is passed through. */
const ioPermissions = 0x44000;
const msrPermissions = 0x48000;
/** APM vol. 2 appendix B, tables B-1 and B-2. */
const intercepts = { cpuid: 1 << 18, hlt: 1 << 24, io: 1 << 27, msr: 1 << 28, shutdown: 1 << 31 } as const;
const intercepts2 = { vmrun: 1 << 0, vmmcall: 1 << 1 } as const;
/** Selector, attributes, limit and base of a segment, at its offset in the save area. */
const segments: readonly (readonly [
  offset: number,
  selector: number,
  attributes: number,
  limit: number,
  base: number,
])[] = [
  [0x400, 0x10, 0xc93, 0xffffffff, 0],
  [0x410, 0x18, 0xa9b, 0xffffffff, 0],
  [0x420, 0x10, 0xc93, 0xffffffff, 0],
  [0x430, 0x10, 0xc93, 0xffffffff, 0],
  [0x440, 0, 0xc93, 0xffffffff, 0],
  [0x450, 0, 0xc93, 0xffffffff, 0],
  [0x460, 0, 0, 0x7f, at.gdt],
  [0x470, 0, 0x82, 0, 0],
  [0x480, 0, 0, 0xfff, at.idt64],
  [0x490, 0x38, 0x8b, TSS_LIMIT, at.tss],
];
/** Top of the L2 guest's stack, which its code never uses. */
const L2_STACK = 0x5800;

/** A VMCB for 64-bit code of ring 0 with the descriptor tables of its host. */
export function writeVmcb(memory: DataView, { address, asid, cr0, cr3, cr4, efer, nestedCr3 }: Vmcb): void {
  const u32 = (offset: number, value: number) => memory.setUint32(address + offset, value, true);
  const { cpuid, hlt, io, msr, shutdown } = intercepts;
  u32(0x0c, cpuid | hlt | io | msr | shutdown);
  u32(0x10, intercepts2.vmrun | intercepts2.vmmcall);
  u32(0x40, ioPermissions);
  u32(0x48, msrPermissions);
  u32(0x58, asid);
  if (nestedCr3 !== undefined) {
    u32(0x90, 1);
    u32(0xb0, nestedCr3);
  }
  for (const [offset, selector, attributes, limit, base] of segments) {
    memory.setUint16(address + offset, selector, true);
    memory.setUint16(address + offset + 2, attributes, true);
    u32(offset + 4, limit);
    u32(offset + 8, base);
  }
  u32(0x4d0, efer);
  u32(0x548, cr4);
  u32(0x550, cr3);
  u32(0x558, cr0);
  // DR7 and DR6 as after reset.
  u32(0x560, 0x400);
  u32(0x568, 0xffff0ff0);
  u32(0x570, 2);
  u32(0x5d8, L2_STACK);
  // PAT as after reset.
  memory.setBigUint64(address + 0x668, 0x0007040600070406n, true);
}
