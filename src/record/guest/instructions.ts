// SPDX-License-Identifier: GPL-2.0-only
import type { Width } from '../../workload/encoding.ts';
import type { U64 } from '../../workload/u64.ts';

/**
 * Machine code of single instructions, in the forms whose lengths src/workload/encoding.ts counts. Opcodes: SDM vol. 2
 * (2.1 prefixes, 2.2 REX, and the instruction pages); those of SVM: APM vol. 3. In 16-bit code 0x66 makes an operand and
 * 0x67 an address 32 bits wide, in 64-bit code 0x48 makes an operand 64 bits wide.
 */
export type Bytes = readonly number[];

/** Register numbers as instructions hold them. */
export const reg = { ax: 0, cx: 1, dx: 2, bx: 3, sp: 4, bp: 5, si: 6, di: 7 } as const;

/** Segment register numbers. */
export const segment = { es: 0, ss: 2, ds: 3, fs: 4, gs: 5 } as const;

export const imm16 = (value: number): Bytes => [value & 0xff, (value >>> 8) & 0xff];
export const imm32 = (value: number): Bytes => [...imm16(value), ...imm16(value >>> 16)];

/** 32-bit operands in code of this width. */
const data32 = (width: Width): Bytes => (width === 16 ? [0x66] : []);
/** 32-bit addresses, and operands as wide as the code. */
const address32 = (width: Width): Bytes => (width === 16 ? [0x67] : []);
const rexW = (width: Width): Bytes => (width === 64 ? [0x48] : []);

/** ModRM: [(R)reg + disp8] has mode 1, a register mode 3. */
const modrm = (mode: 0 | 1 | 2 | 3, field: number, rm: number): number => (mode << 6) | (field << 3) | rm;

/** ModRM and displacement of an absolute address: in 64-bit code through a SIB byte without base and index. */
function absolute(width: Width, field: number, address: number): Bytes {
  if (width === 16) return [modrm(0, field, 6), ...imm16(address)];
  if (width === 32) return [modrm(0, field, 5), ...imm32(address)];
  return [modrm(0, field, 4), 0x25, ...imm32(address)];
}

/** MOV of an immediate to a general register; `movImmediate` of the encoding counts the same forms. */
export function movImmediate(width: Width, register: number, { lo, hi }: U64): Bytes {
  if (width !== 64 || hi === 0) return [...data32(width), 0xb8 + register, ...imm32(lo)];
  if (hi === 0xffffffff && lo >= 0x80000000) return [0x48, 0xc7, modrm(3, 0, register), ...imm32(lo)];
  return movWhole(register, { lo, hi });
}

/** MOV of all 64 bits, whatever they are: how the address of a label is loaded. */
export const movWhole = (register: number, { lo, hi }: U64): Bytes => [
  0x48,
  0xb8 + register,
  ...imm32(lo),
  ...imm32(hi),
];

/** MOV of a 32-bit immediate, zero-extended in 64-bit code. */
export const mov32 = (width: Width, register: number, value: number): Bytes => [
  ...data32(width),
  0xb8 + register,
  ...imm32(value),
];

/** MOV CRn,(R)AX. */
export const movToCr = (number: number): Bytes => [0x0f, 0x22, modrm(3, number, reg.ax)];
/** MOV (R)AX,CR2. */
export const movFromCr2: Bytes = [0x0f, 0x20, modrm(3, 2, reg.ax)];

export const xor32 = (width: Width, register: number): Bytes => [...data32(width), 0x31, modrm(3, register, register)];

/** LEA register,[RIP+rel]; `rel` counts from the end of the instruction. `high`: one of R8 to R15. */
export const leaRip = (register: number, rel: number, high = false): Bytes => [
  high ? 0x4c : 0x48,
  0x8d,
  modrm(0, register, 5),
  ...imm32(rel),
];

/** MOV AL,[(R)DI+disp8]. */
export const loadByte = (width: Width, disp8: number): Bytes => [
  ...address32(width),
  0x8a,
  modrm(1, reg.ax, reg.di),
  disp8,
];
/** MOV BYTE [(R)DI+disp8],imm8. */
export const storeByte = (width: Width, disp8: number, value: number): Bytes => [
  ...address32(width),
  0xc6,
  modrm(1, 0, reg.di),
  disp8,
  value,
];
/** MOV AL,[disp16], in real mode. */
export const loadReal = (offset: number): Bytes => [0xa0, ...imm16(offset)];

/** MOV [(R)DI],(R)AX, or EAX when `bytes` is 4. */
export const storeWord = (width: 32 | 64, bytes: 4 | 8): Bytes => [
  ...(bytes === 8 ? rexW(width) : []),
  0x89,
  modrm(0, reg.ax, reg.di),
];
/** MOV [EDI],EAX. */
export const storeHalf = (width: 32 | 64): Bytes => [...(width === 64 ? [0x67] : []), 0x89, modrm(0, reg.ax, reg.di)];

/** ADD (R)DI,imm32, or imm8 for values that its sign extension leaves as they are. */
export const addToDi = (width: Width, value: number): Bytes => [
  ...data32(width),
  ...rexW(width),
  value < 0x80 ? 0x83 : 0x81,
  modrm(3, 0, reg.di),
  ...(value < 0x80 ? [value] : imm32(value)),
];

/** DEC ECX. */
export const decCount = (width: Width): Bytes => (width === 64 ? [0xff, 0xc9] : [...data32(width), 0x49]);

/** MOV (D|Q)WORD [address],imm32; a quadword in 64-bit code when `whole`. */
export const storeImmediate = (width: Width, address: number, value: number, whole = false): Bytes => [
  ...data32(width),
  ...(whole ? rexW(width) : []),
  0xc7,
  ...absolute(width, 0, address),
  ...imm32(value),
];
/** DEC (D|Q)WORD [address], as wide as the code but for 16-bit code. */
export const decMemory = (width: Width, address: number): Bytes => [
  ...data32(width),
  ...rexW(width),
  0xff,
  ...absolute(width, 1, address),
];
/** INC DWORD [address]. */
export const incMemory = (width: 32 | 64, address: number): Bytes => [0xff, ...absolute(width, 0, address)];
/** TEST DWORD [address],imm32. */
export const testMemory = (width: Width, address: number, mask: number): Bytes => [
  ...data32(width),
  0xf7,
  ...absolute(width, 0, address),
  ...imm32(mask),
];

/** MOV RAX,[address]; MOV [address],RAX. */
export const loadRax = (address: number): Bytes => [0x48, 0x8b, ...absolute(64, reg.ax, address)];
export const storeRax = (address: number): Bytes => [0x48, 0x89, ...absolute(64, reg.ax, address)];
/** MOV reg32,[address]. */
export const load32 = (width: 32 | 64, register: number, address: number): Bytes =>
  width === 32 && register === reg.ax ? [0xa1, ...imm32(address)] : [0x8b, ...absolute(width, register, address)];

export const jumpToDi: Bytes = [0xff, modrm(3, 4, reg.di)];
/** JNZ rel8, to an address `rel` bytes from its end. */
export const jnzShort = (rel: number): Bytes => [0x75, rel & 0xff];
/** JZ and JNZ with a displacement as wide as a 16-bit or 32-bit IP. */
export const jzNear = (width: Width, rel: number): Bytes => [0x0f, 0x84, ...near(width, rel)];
export const jnzNear = (width: Width, rel: number): Bytes => [0x0f, 0x85, ...near(width, rel)];
const near = (width: Width, rel: number): Bytes => (width === 16 ? imm16(rel) : imm32(rel));
export const jmpNear = (rel: number): Bytes => [0xe9, ...imm32(rel)];
/** Far JMP to a 32-bit offset; 64-bit code has none with an immediate. */
export const jmpFar = (width: 16 | 32, selector: number, offset: number): Bytes => [
  ...data32(width),
  0xea,
  ...imm32(offset),
  ...imm16(selector),
];

export const push = (register: number): Bytes => [0x50 + register];
export const pop = (register: number): Bytes => [0x58 + register];
export const pushByte = (value: number): Bytes => [0x6a, value];

/** MOV AX,imm16 in 32-bit and 64-bit code. */
export const movAx = (value: number): Bytes => [0x66, 0xb8, ...imm16(value)];
export const movToSegment = (number: number): Bytes => [0x8e, modrm(3, number, reg.ax)];
export const ltrAx: Bytes = [0x0f, 0x00, modrm(3, 3, reg.ax)];
/** LGDT with a 32-bit base, in 16-bit code. */
export const lgdt16 = (address: number): Bytes => [0x66, 0x0f, 0x01, ...absolute(16, 2, address)];
export const lidt = (width: 32 | 64, address: number): Bytes => [0x0f, 0x01, ...absolute(width, 3, address)];
export const invlpgDi = (width: Width): Bytes => [...address32(width), 0x0f, 0x01, modrm(0, 7, reg.di)];
/** INVPCID RAX,[address]. REX.W means nothing here, but the encoding counts it. */
export const invpcidRax = (address: number): Bytes => [0x66, 0x48, 0x0f, 0x38, 0x82, ...absolute(64, reg.ax, address)];

/** MOV DX,imm16. */
export const movDx = (width: Width, port: number): Bytes => [...(width === 16 ? [] : [0x66]), 0xba, ...imm16(port)];
/** OUT DX,EAX and OUT DX,AL. */
export const outEax = (width: Width): Bytes => [...data32(width), 0xef];
export const outAl: Bytes = [0xee];

/** Instructions without operands. */
export const plain = {
  cli: [0xfa],
  hlt: [0xf4],
  nop: [0x90],
  /** JMP to itself. */
  jumpSelf: [0xeb, 0xfe],
  wrmsr: [0x0f, 0x30],
  wrpkru: [0x0f, 0x01, 0xef],
  clac: [0x0f, 0x01, 0xca],
  stac: [0x0f, 0x01, 0xcb],
  int80: [0xcd, 0x80],
  /** IRET as wide as 32-bit code, and IRETQ and RETFQ. */
  iret: [0xcf],
  iretq: [0x48, 0xcf],
  retfq: [0x48, 0xcb],
  rsm: [0x0f, 0xaa],
  vmrun: [0x0f, 0x01, 0xd8],
  vmmcall: [0x0f, 0x01, 0xd9],
  vmload: [0x0f, 0x01, 0xda],
  vmsave: [0x0f, 0x01, 0xdb],
  stgi: [0x0f, 0x01, 0xdc],
  clgi: [0x0f, 0x01, 0xdd],
} as const satisfies Record<string, Bytes>;
