// SPDX-License-Identifier: GPL-2.0-only
import type { U64 } from './u64.ts';

/**
 * Lengths of the guest's instructions in bytes. The guest code is a fixed set of instruction sequences, one for each op,
 * and the assembler takes the shortest form where a table below says so; from the lengths follows which code page every
 * op runs on. Forms: SDM vol. 2 (2.1 prefixes, 2.2 REX, and the instruction pages).
 */
export type Width = 16 | 32 | 64;

/** A length for each code width. */
type Lengths = Readonly<Record<Width, number>>;

const lengths = (in16: number, in32: number, in64: number): Lengths => ({ 16: in16, 32: in32, 64: in64 });

/** Fixed sequences. In 16-bit code a 32-bit operand or address costs a prefix byte each. */
export const length = {
  /** Where a fault resumes is kept in (R)BP: MOV EBP,imm32 or LEA RBP,[RIP+rel32]. There are no handlers in real mode. */
  recover: lengths(0, 5, 7),
  movCr: lengths(3, 3, 3),
  /** MOV ECX,imm32; MOV EAX,imm32; XOR EDX,EDX; WRMSR. */
  wrmsr: lengths(6 + 6 + 3 + 2, 5 + 5 + 2 + 2, 5 + 5 + 2 + 2),
  /** MOV AL,[(R)DI+disp8]. */
  load: lengths(4, 3, 3),
  /** MOV BYTE [(R)DI+disp8],imm8. */
  store: lengths(5, 4, 4),
  /** JMP (R)DI. */
  jump: lengths(2, 2, 2),
  movCount: lengths(6, 5, 5),
  /** ADD (R)DI,imm8 and imm32. */
  addShort: lengths(4, 3, 4),
  addLong: lengths(7, 6, 7),
  /** DEC ECX; JNZ rel8. */
  countDown: lengths(2 + 2, 1 + 2, 2 + 2),
  /** MOV [(R)DI],(R)AX. */
  storeWord: lengths(4, 2, 3),
  /** MOV [EDI],EAX. */
  storeHalf: lengths(4, 2, 3),
  invlpg: lengths(4, 3, 3),
  stac: lengths(3, 3, 3),
  /** MOV (D|Q)WORD [counter],imm32. */
  loopStart: lengths(9, 10, 12),
  /** DEC (D|Q)WORD [counter]; JNZ near. */
  loopEnd: lengths(5 + 4, 6 + 6, 8 + 6),
  /** TEST DWORD [features],imm32; JZ near. */
  condition: lengths(9 + 4, 10 + 6, 11 + 6),
  /** MOV DWORD [0x810],imm32; real-mode phases do without. */
  phaseNumber: lengths(0, 10, 11),
  /** MOV DX,imm16; MOV EAX,imm32; OUT DX,EAX. */
  phase: lengths(3 + 6 + 2, 4 + 5 + 1, 4 + 5 + 1),
  /** MOV DX,imm16; OUT DX,AL. */
  smi: lengths(3 + 1, 4 + 1, 4 + 1),
  /** Far JMP, or in 64-bit code PUSH imm8; LEA RAX,[RIP+rel32]; PUSH RAX; RETFQ. */
  far: lengths(8, 7, 2 + 7 + 1 + 2),
} as const;

/** Sequences that exist in one width only. */
export const only = {
  /** CLI; LGDT [disp16]. */
  lgdt16: 1 + 6,
  /** MOV AX,imm16; MOV to DS ES SS FS GS; MOV ESP,imm32; LIDT [disp32]. */
  segmentsProt32: 4 + 5 * 2 + 5 + 7,
  /** The same with DS ES SS only. */
  segments32: 4 + 3 * 2 + 5 + 7,
  segments64: 4 + 3 * 2 + 5 + 8,
  /** MOV AX,imm16; LTR AX. */
  ltr: 4 + 3,
  realRead: 3,
  /** MOV QWORD [0x840],imm32, and after the address: MOV [0x848],RAX; MOV EAX,imm32; INVPCID RAX,[0x840]. */
  invpcid: 12 + 8 + 5 + 11,
  /** XOR ECX,ECX; XOR EDX,EDX; MOV EAX,imm32; WRPKRU. */
  wrpkru: 2 + 2 + 5 + 3,
  /** LEA R14,[RIP+rel32]; five pushes, RIP through MOV RAX,imm64, RSP through MOV EAX,imm32; IRETQ. */
  user: 7 + 2 + 5 + 1 + 2 + 2 + 10 + 1 + 2,
  int80: 2,
  /** JMP near over the block. */
  skipBlock: 5,
  vmmcall: 3,
  /** MOV RAX,imm64; MOV [rip field],RAX; MOV EAX,imm32; CLGI; VMLOAD; VMRUN; VMSAVE; STGI; twice MOV between RAX and memory. */
  vmrun: 10 + 8 + 5 + 5 * 3 + 8 + 8,
  /** MOV RAX,imm64; MOV EDX,imm32; VMWRITE RDX,RAX; VMLAUNCH or VMRESUME. */
  vmentry: 10 + 5 + 3 + 3,
  hlt: 1,
  /** HLT; JMP $ after the last op. */
  end: 1 + 2,
} as const;

/** MOV of an immediate to (R)AX or (R)DI: 64-bit code takes imm32 zero-extended, else sign-extended, else imm64. */
export function movImmediate(width: Width, { lo, hi }: U64): number {
  if (width !== 64) return width === 16 ? 6 : 5;
  if (hi === 0) return 5;
  return hi === 0xffffffff && lo >= 0x80000000 ? 7 : 10;
}

/**
 * Offsets of the exception handlers from the end of the code, in the order they stand there: vectors 6, 13, 14, for each
 * the 64-bit handler (76 bytes, 75 where the CPU pushes an error code) and the 32-bit one (79, 77), then INT 0x80.
 */
export const handlers = {
  64: { 6: 0, 13: 0x9c, 14: 0x134 },
  32: { 6: 0x4d, 13: 0xe7, 14: 0x17f },
  int80: 0x1cc,
  bytes: 0x1d4,
  /** Seven 4-byte addresses after the handlers, aligned to 8. */
  table: 28,
} as const;
