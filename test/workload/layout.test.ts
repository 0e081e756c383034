// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { bundledWorkloads, loadWorkload } from '../../src/workload/bundled.ts';
import { buildImage } from '../../src/workload/image.ts';
import { expand } from '../../src/workload/lower-registers.ts';
import { closers, isBlock, type Op } from '../../src/workload/ops.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { printOp } from '../../src/workload/print.ts';
import { compile } from '../../src/workload/program.ts';
import { layoutNames, pageTablesOf, readLayout } from './layout.ts';

/** The ops as a layout lists them. */
function resolved(ops: readonly Op[]): string[] {
  return ops.flatMap((op) => {
    if (isBlock(op)) return [printOp(op), ...resolved(op.body), closers[op.op]];
    if (op.op === 'enterlong' || op.op === 'svmon') return [printOp(op), ...resolved(expand(op))];
    return [printOp(op)];
  });
}

/** Numbers of a layout's line as the canonical text has them. */
const canonical = (line: string): string => (line.startsWith('map ') ? line.replace(/ 0(?= )/g, ' 0x0') : line.trim());

test('every bundled workload has a layout', () => {
  expect(bundledWorkloads().map(({ name }) => name)).toEqual([...layoutNames].sort());
});

describe.each(layoutNames)('the guest image of %s', (name) => {
  const layout = readLayout(name);
  const workload = loadWorkload(name);

  test('page tables: roots, table pages, entries', () => {
    expect(pageTablesOf(buildImage(workload))).toEqual(layout.page_tables);
  });

  test('ops in order, with those that stand for several', () => {
    expect(resolved(workload.ops)).toEqual(layout.ops.map(canonical));
  });

  test('phase numbers', () => {
    const numbered = Object.fromEntries(compile(workload).phases.map((phase, i) => [String(i + 1), phase]));
    expect(numbered).toEqual(layout.phases);
  });

  test('code begins at the entry and has its size', () => {
    expect(compile(workload).code).toEqual({ address: layout.entry, bytes: layout.code_bytes });
  });
});

// RIP of exits in a recorded run of Linux 6.1 (nested-basic under NPT): each is the address of the instruction that
// exited, so a step's code must cover it.
test('code addresses are those of a recorded run', () => {
  const program = compile(loadWorkload('nested-basic'));
  const around = (rip: number) => program.steps.find((s) => rip >= s.codeAddress && rip < s.codeAddress + s.codeBytes);
  expect(around(0x8001)?.kind).toBe('cr0');
  expect(around(0x800d)).toMatchObject({ kind: 'cr0', value: 0x11 });
  expect(around(0x803c)).toMatchObject({ kind: 'cr4', value: 0x20 });
  expect(around(0x805d)).toMatchObject({ kind: 'efer', value: 0x900 });
  expect(around(0x8069)).toMatchObject({ kind: 'cr0', value: 0x80010011 });
  expect(around(0x8091)).toMatchObject({ kind: 'phase', name: 'l1-warm' });
  expect(around(0x80b7)).toMatchObject({ kind: 'touch', access: 'r', count: 16 });
  expect(around(0x80d8)).toMatchObject({ kind: 'efer', value: 0x1900 });
  expect(around(0x80e6)).toMatchObject({ kind: 'wrmsr', index: 0xc0010117 });
  expect(around(0x81e7)).toMatchObject({ kind: 'vmrun', vmcb: 'V' });
  expect(program.blocks.get('warm')?.codeAddress).toBe(0x80ed);
});

test('flags of every letter, sizes and formats, worked out by hand', () => {
  const text = [
    'pt P leg32',
    'map P 0x400000 0xc00000 1 4m pwuadgn',
    'map P 0x801000 0x5000 1 4k pC',
    'pt L l5',
    'map L 0xff80000000000000 0x123456789000 1 4k puk9n',
    'map L 0x200000 0x600000 1 2m pwT',
    'map L 0x400000 0x1000 2 4k z',
  ].join('\n');
  expect(pageTablesOf(buildImage(parseOps(text, 'hand.ops')))).toEqual({
    // Index 1: 0x400000 >> 22. PS 0x80, G 0x100, D 0x40, A 0x20, U 4, W 2, P 1; a 4-byte entry has no bit 63.
    // 0x801000: index 2, then 1; PCD 0x10.
    P: {
      format: 'leg32',
      root: '0x100000',
      tables: { '0x100000': { '1': '0xc001e7', '2': '0x101007' }, '0x101000': { '1': '0x5011' } },
    },
    L: {
      format: 'l5',
      root: '0x102000',
      tables: {
        // 0xff80000000000000: bits 56:48 = 0x180 = 384. NX bit 63, key 9 in bits 62:59.
        '0x102000': { '0': '0x107007', '384': '0x103007' },
        '0x103000': { '0': '0x104007' },
        '0x104000': { '0': '0x105007' },
        '0x105000': { '0': '0x106007' },
        '0x106000': { '0': '0xc800123456789005' },
        '0x107000': { '0': '0x108007' },
        '0x108000': { '0': '0x109007' },
        // T in a map is PWT.
        '0x109000': { '1': '0x60008b', '2': '0x10a007' },
        '0x10a000': { '0': '0x1000', '1': '0x2000' },
      },
    },
  });
});
