// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import type { L2Block, Program, Step } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { loopClose } from './block-code.ts';
import { handlerPieces, type Piece } from './handler-code.ts';
import { type Bytes, jmpNear, plain } from './instructions.ts';
import { stepCode } from './step-code.ts';

/** IP of real-mode code has 16 bits, and its jumps are relative to it. */
const REAL_MODE_END = 0x10000;

/**
 * The machine code of a program: every byte of `program.code`, each once. The program says where every step stands and how
 * long it is; code of another length is a bug of ours and throws, as is a step without machine code, which
 * `checkRecordable` refuses. UserError when real-mode code is out of a 16-bit reach.
 */
export function programCode(program: Program): Uint8Array {
  const { address: start, bytes: length } = program.code;
  const code = new Uint8Array(length);
  const written = new Uint8Array(length);
  for (const { address, bytes } of piecesOf(program)) {
    for (const [i, byte] of bytes.entries()) {
      const offset = address + i - start;
      if (offset < 0 || offset >= length || written[offset]) throw new Error(`code at 0x${(address + i).toString(16)}`);
      code[offset] = byte;
      written[offset] = 1;
    }
  }
  const gap = written.indexOf(0);
  if (gap >= 0) throw new Error(`no code at 0x${(start + gap).toString(16)}`);
  return code;
}

function piecesOf(program: Program): Piece[] {
  const { name, steps, blocks, endAddress, handlers, code } = program;
  return [
    ...steps.flatMap((step) => stepPieces(name, step)),
    ...[...blocks.values()].flatMap((block) => blockPieces(name, block)),
    { address: endAddress, bytes: [...plain.hlt, ...plain.jumpSelf] },
    ...handlerPieces(handlers, code.address + code.bytes),
  ];
}

/** An L2 block stands in the code behind a jump over it. */
function blockPieces(name: string, { codeAddress, body, closeAddress }: L2Block): Piece[] {
  const end = closeAddress + plain.vmmcall.length;
  return [
    { address: codeAddress - jmpNear(0).length, bytes: jmpNear(end - codeAddress) },
    ...body.flatMap((step) => stepPieces(name, step)),
    { address: closeAddress, bytes: plain.vmmcall },
  ];
}

function stepPieces(name: string, step: Step): Piece[] {
  if (step.kind === 'bulk' || step.kind === 'vmentry' || step.kind === 'memslot') {
    throw new Error(`${name}:${step.line}: a step of kind ${step.kind} has no machine code`);
  }
  if (step.bits === 16 && step.codeAddress + step.codeBytes > REAL_MODE_END) {
    const found = `real-mode code at 0x${step.codeAddress.toString(16)}`;
    throw new UserError({ place: `${name}:${step.line}`, found, expected: 'code below 0x10000 until "prot32"' });
  }
  const own = placed(step, step.codeAddress, stepCode(step));
  if (own.bytes.length !== step.codeBytes) {
    throw new Error(`${name}:${step.line}: ${own.bytes.length} bytes of ${step.kind}, ${step.codeBytes} expected`);
  }
  if (step.kind === 'repeat') {
    const body = step.body.flatMap((each) => stepPieces(name, each));
    return [own, ...body, placed(step, step.closeAddress, loopClose(step))];
  }
  if (step.kind === 'if') return [own, ...step.body.flatMap((each) => stepPieces(name, each))];
  if (step.kind === 'user') {
    const body = step.body.flatMap((each) => stepPieces(name, each));
    // The body is in ring 3, and so is the INT that ends it.
    return [own, ...body, { address: step.closeAddress - at.alias, bytes: plain.int80 }];
  }
  return [own];
}

/** Code of ring 3 runs at the alias of where it stands. */
const placed = ({ cpl }: Step, address: number, bytes: Bytes): Piece => ({
  address: cpl === 3 ? address - at.alias : address,
  bytes,
});
