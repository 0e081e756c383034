// SPDX-License-Identifier: GPL-2.0-only
import type { Handlers } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import * as x86 from './instructions.ts';
import { type Bytes, imm32, plain, reg } from './instructions.ts';

/** The log has room for this many faults and then begins anew. An entry: CR2 (8 bytes), error code (4), vector and phase (4). */
const LOG_ENTRIES = 4096;
const LOG_ENTRY_SHIFT = 4;
const logOffsets = { cr2: 0, cr2High: 4, error: 8, origin: 12 } as const;

/** Exceptions that the guest handles, and whether the CPU pushes an error code. SDM vol. 3A 6.15. */
export const vectors = [
  [6, false],
  [13, true],
  [14, true],
] as const;

const bx = reg.bx;
/** ModRM and displacement of an operand in the log entry that (R)BX leads to, with EAX or opcode extension 0. */
const atBx = (field: keyof typeof logOffsets): Bytes => [0x80 | bx, ...imm32(at.faultLog + logOffsets[field])];

/** EBX becomes the offset of the next log entry: MOV EBX,[count]; AND EBX,imm32; SHL EBX,imm8. */
const nextEntry = (width: 32 | 64): Bytes => [
  ...x86.load32(width, bx, at.faultCount),
  ...[0x81, 0xe3, ...imm32(LOG_ENTRIES - 1)],
  ...[0xc1, 0xe3, LOG_ENTRY_SHIFT],
];

/**
 * The handler of an exception: it logs the fault and goes on where (R)BP points, so the op that faulted is over. On entry
 * the stack holds error code, (R)IP, CS, RFLAGS and, in 64-bit mode or from ring 3, RSP and SS.
 */
function handler(width: 32 | 64, vector: number, hasErrorCode: boolean): Bytes {
  const wide = width === 64;
  return [
    ...(hasErrorCode ? [] : x86.pushByte(0)),
    ...x86.push(reg.ax),
    ...x86.push(bx),
    ...nextEntry(width),
    ...x86.movFromCr2,
    // MOV [(R)BX+disp32],(R)AX; 32-bit code stores a high half of 0 by MOV DWORD [EBX+disp32],imm32.
    ...(wide ? [0x48] : []),
    ...[0x89, ...atBx('cr2')],
    ...(wide ? [] : [0xc7, ...atBx('cr2High'), ...imm32(0)]),
    // MOV EAX,[(R)SP+2 words]: the error code, below the two pushes.
    ...[0x8b, 0x44, 0x24, wide ? 16 : 8],
    ...[0x89, ...atBx('error')],
    ...x86.load32(width, reg.ax, at.phaseNumber),
    // OR EAX,imm32.
    ...[0x0d, ...imm32(vector << 16)],
    ...[0x89, ...atBx('origin')],
    ...x86.incMemory(width, at.faultCount),
    ...x86.pop(bx),
    ...x86.pop(reg.ax),
    // ADD (R)SP,1 word: off with the error code; MOV [(R)SP],(R)BP: the return address.
    ...(wide ? [0x48, 0x83, 0xc4, 8] : [0x83, 0xc4, 4]),
    ...(wide ? [0x48] : []),
    ...[0x89, 0x2c, 0x24],
    ...(wide ? plain.iretq : plain.iret),
  ];
}

/** INT 0x80: back to the kernel's stack and to where R14 points, with no way back to ring 3. */
const int80: Bytes = [...x86.mov32(64, reg.sp, at.stack), 0x41, 0xff, 0xe6];

/** Machine code with its address. */
export interface Piece {
  readonly address: number;
  readonly bytes: Bytes;
}

/** The handlers, and after them the list of their addresses: 32-bit ones, 64-bit ones, INT 0x80. Nothing in the guest reads it. */
export function handlerPieces(handlers: Handlers, codeEnd: number): Piece[] {
  const addresses = ([32, 64] as const).flatMap((width) => vectors.map(([vector]) => handlers[width][vector]));
  const list = [...addresses, handlers.int80].flatMap((address) => imm32(address));
  const handlersEnd = handlers.int80 + int80.length;
  const padding = codeEnd - list.length - handlersEnd;
  return [
    ...([32, 64] as const).flatMap((width) =>
      vectors.map(([vector, hasErrorCode]) => ({
        address: handlers[width][vector],
        bytes: handler(width, vector, hasErrorCode),
      })),
    ),
    { address: handlers.int80, bytes: int80 },
    { address: handlersEnd, bytes: [...Array.from({ length: padding }, () => plain.nop[0]), ...list] },
  ];
}
