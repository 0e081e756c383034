// SPDX-License-Identifier: GPL-2.0-only
import type { Context } from './context.ts';
import { handlers, only } from './encoding.ts';
import type { Area, GuestImage, TableEntries } from './image.ts';
import type { Handlers, Program, SmmHandler } from './program.ts';
import { at, touches } from './touches.ts';
import { POOL, shapes } from './trees.ts';

/** The image and the program that a workload's ops left in the context. */
export function assemble(name: string, context: Context): { image: GuestImage; program: Program } {
  const end = context.code + only.end;
  const table = Math.ceil((end + handlers.bytes) / 8) * 8;
  const code = { address: at.code, bytes: table + handlers.table - at.code };
  const program: Program = {
    name,
    vcpus: context.cpus.length,
    steps: context.steps,
    phases: context.phases,
    blocks: context.blocks,
    smm: smmHandler(context),
    code,
    endAddress: context.code,
    handlers: handlersAt(end),
  };
  const image: GuestImage = {
    trees: context.trees.byName,
    entries: entriesOf(context),
    vmcbs: context.vmcbs,
    vmcses: context.vmcses,
    areas: areasOf(context, code.bytes),
    poolPages: context.trees.used,
  };
  return { image, program };
}

function handlersAt(end: number): Handlers {
  const place = (offsets: Readonly<Record<6 | 13 | 14, number>>) => ({
    6: end + offsets[6],
    13: end + offsets[13],
    14: end + offsets[14],
  });
  return { 32: place(handlers[32]), 64: place(handlers[64]), int80: end + handlers.int80 };
}

/**
 * 16-bit code: PUSH EAX; PUSH EDX; MOV DX,imm16; MOV EAX,imm32; OUT DX,EAX; AND DWORD [addr32],imm32 for each word to
 * clear; POP EDX; POP EAX; RSM.
 */
function smmHandler({ smmPhase, smmClears, phases }: Context): SmmHandler {
  return {
    phase: smmPhase,
    phaseName: phases[smmPhase - 1],
    clears: smmClears,
    saves: touches.smmSaves,
    restores: touches.smmRestores,
    codeAddress: at.smmHandler,
    codeBytes: 4 + 3 + 6 + 2 + 12 * smmClears.length + 4 + 2,
  };
}

function entriesOf({ trees }: Context): TableEntries {
  const rows: [frame: number, index: number, bytes: number, lo: number, hi: number][] = [];
  for (const { format, pages } of trees.byName.values()) {
    const { entryBytes } = shapes[format];
    for (const page of pages) {
      for (let index = 0; index < 4096 / entryBytes; index++) {
        const address = page + index * entryBytes;
        const lo = trees.lo(address);
        const hi = entryBytes === 8 ? trees.hi(address) : 0;
        if (lo !== 0 || hi !== 0) rows.push([page / 4096, index, entryBytes, lo, hi]);
      }
    }
  }
  return {
    count: rows.length,
    frame: Uint32Array.from(rows, (row) => row[0]),
    index: Uint16Array.from(rows, (row) => row[1]),
    bytes: Uint8Array.from(rows, (row) => row[2]),
    lo: Uint32Array.from(rows, (row) => row[3]),
    hi: Uint32Array.from(rows, (row) => row[4]),
  };
}

function areasOf({ vmcbs, vmcses, trees }: Context, codeBytes: number): Area[] {
  const page = (name: string, start: number): Area => ({ name, start, end: start + 4096 });
  const control = [...vmcbs.values(), ...vmcses.values()].map(({ name, address }) => page(name, address));
  return [
    page('counters and flags', 0),
    page('gdt and tss', at.gdt),
    page('idt of 32-bit code', at.idt32),
    page('idt of 64-bit code', at.idt64),
    { name: 'stacks', start: 0x4000, end: at.code },
    { name: 'code', start: at.code, end: at.code + codeBytes },
    page('smm handler', at.smmHandler),
    ...(vmcbs.size > 0 ? [page('host save area', at.hostSave)] : []),
    ...control,
    { name: 'fault log', start: at.faultLog, end: at.faultLog + 65536 },
    { name: 'page tables', start: POOL.start, end: POOL.start + trees.used * 4096 },
  ];
}
