// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { parseOps } from '../../src/workload/parse.ts';

/** The whole message of the UserError that the text gets. */
function mistake(...lines: string[]): string {
  try {
    parseOps(lines.join('\n'), 'wp.ops');
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('no mistake found');
}

/** The first line of it: place and what was found. */
const found = (...lines: string[]): string => mistake(...lines).split('\n')[0]!;

const long = ['pt A l4', 'ident A', 'map A 0x10000000 0x400000 4 4k pw', 'prot32', 'enterlong A'];

describe('what parses', () => {
  test('title, comments, blank lines and line ends', () => {
    const workload = parseOps('\ufeff# Title here \r\n\r\nphase a # why\r\n  phase\tb#no blank\n', 'dir/some.ops');
    expect(workload).toEqual({
      name: 'some',
      title: 'Title here',
      ops: [
        { op: 'phase', line: 3, name: 'a' },
        { op: 'phase', line: 4, name: 'b' },
      ],
    });
  });

  test('blocks hold their ops and know the line of their end', () => {
    const { ops } = parseOps('repeat 2\nif smap\nphase a\nendif\nend\n', 'x.ops');
    const inner = { op: 'if', line: 2, feature: 'smap', body: [{ op: 'phase', line: 3, name: 'a' }], endLine: 4 };
    expect(ops).toEqual([{ op: 'repeat', line: 1, count: 2, body: [inner], endLine: 5 }]);
  });

  test('options in any order; numbers in both forms; 64-bit addresses', () => {
    const { ops } = parseOps(
      [...long, 'cr3 A noflush pcid=0x10', 'r 0xffff800000000000', 'invpcid 2'].join('\n'),
      'x.ops',
    );
    expect(ops.slice(5)).toEqual([
      { op: 'cr3', line: 6, pt: 'A', noflush: true, pcid: 16 },
      { op: 'r', line: 7, gva: { lo: 0, hi: 0xffff8000 } },
      { op: 'invpcid', line: 8, type: 2 },
    ]);
  });
});

describe('messages', () => {
  test('a bit that cr0 does not have', () => {
    expect(mistake('prot32', '    cr0 +WPX')).toBe(
      [
        'wp.ops:2:9: unknown flag "+WPX" for cr0',
        '        cr0 +WPX',
        '            ^',
        '  expected: +BIT or -BIT with BIT one of PE MP EM TS ET NE WP AM NW CD PG',
        '  try: +WP',
      ].join('\n'),
    );
  });

  test('an op that does not exist', () => {
    expect(mistake('tuchr 0x1000 4')).toBe(
      [
        'wp.ops:1:1: unknown op "tuchr"',
        '    tuchr 0x1000 4',
        '    ^',
        '  expected: an op of docs/ops.md',
        '  try: touchr',
      ].join('\n'),
    );
  });

  test('a tree that is not defined', () => {
    expect(mistake(...long, 'cr3 B')).toBe(
      ['wp.ops:6:5: no page-table tree "B"', '    cr3 B', '        ^', '  expected: one of A', '  try: A'].join('\n'),
    );
  });

  test('a loop that does not restore a register points at its end', () => {
    expect(mistake(...long, 'repeat 3', 'cr0 -WP', 'end')).toBe(
      [
        'wp.ops:8:1: this "repeat" begins with cr0 = 0x80010011 and ends with 0x80000011',
        '    end',
        '    ^',
        '  expected: cr0, cr4, efer and mode as at its beginning',
      ].join('\n'),
    );
  });

  test('a file that ends inside a block', () => {
    expect(mistake(...long, 'user', 'r 0x10000000')).toBe(
      ['wp.ops:6:1: the file ends inside this "user"', '    user', '    ^', '  expected: "enduser" after it'].join(
        '\n',
      ),
    );
  });

  test('an entry with no table above it', () => {
    expect(mistake(...long, 'pte A 0x30000000 1 pw 0x400000')).toBe(
      [
        'wp.ops:6:7: no table for 0x30000000 in "A"',
        '    pte A 0x30000000 1 pw 0x400000',
        '          ^',
        '  expected: an address in a region that a "map" before it made tables for',
      ].join('\n'),
    );
  });
});

// Each line: what is wrong, the lines that have it, and place and finding of the error.
test.each([
  ['no argument', ['pt'], '1:3: "pt" has no arguments'],
  ['too few arguments', ['pt A'], '1:5: "pt" has only 1 argument'],
  ['too many arguments', ['smi 3'], '1:5: "3" is one argument too many'],
  ['an unknown option', [...long, 'cr3 A noflsh'], '6:7: unknown argument "noflsh"'],
  ['an option without its value', [...long, 'cr3 A pcid'], '6:7: unknown argument "pcid"'],
  ['an option twice', [...long, 'cr3 A pwt pwt'], '6:11: "pwt" is given twice'],
  ['an option out of range', [...long, 'cr3 A pcid=4096'], '6:12: 4096 is out of range'],
  ['a required option', [...long, 'bulk r 0x10000000 4 9 seq'], '6:26: "bulk" has only 5 arguments'],
  ['a count that is no number', ['repeat ten', 'end'], '1:8: "ten" is not a number'],
  ['a count of zero', ['repeat 0', 'end'], '1:8: 0 is out of range'],
  ['a count with a leading zero', ['repeat 010', 'end'], '1:8: "010" is not a number'],
  ['a negative count', ['repeat -1', 'end'], '1:8: "-1" is not a number'],
  ['an address that is none', [...long, 'r 10000000h'], '6:3: "10000000h" is not an address'],
  ['an address over 64 bits', [...long, 'r 0x10000000000000000'], '6:3: "0x10000000000000000" is not an address'],
  ['a gpa over 52 bits', ['pt A l4', 'map A 0x0 0x10000000000000 1 4k p'], '2:11: 0x10000000000000 is out of range'],
  [
    'a gpa that ends over 52 bits',
    ['pt A l4', 'map A 0x0 0xffffffffff000 2 4k p'],
    '2:11: 0x10000000000000 does not fit an entry of the l4 tree "A"',
  ],
  [
    'a gpa over 32 bits in leg32',
    ['pt A leg32', 'map A 0x0 0x100000000 1 4k p'],
    '2:11: 0x100000000 does not fit an entry of the leg32 tree "A"',
  ],
  [
    'a gva outside the tree',
    ['pt A pae', 'map A 0xfffff000 0x0 2 4k p'],
    '2:7: 0x100000000 is outside the pae tree "A"',
  ],
  [
    'a gva between the halves',
    ['pt A l4', 'map A 0x1000000000000 0x0 1 4k p'],
    '2:7: 0x1000000000000 is outside the l4 tree "A"',
  ],
  ['a format', ['pt A l3'], '1:6: unknown format "l3"'],
  ['a page size', ['pt A l4', 'map A 0x0 0x0 1 1g p'], '2:17: unknown page size "1g"'],
  ['a page size of another format', ['pt A l4', 'map A 0x0 0x0 1 4m p'], '2:17: no 4m pages in the l4 tree "A"'],
  ['an entry flag', ['pt A l4', 'map A 0x0 0x0 1 4k pwx'], '2:22: unknown flag "x" in "pwx"'],
  ['a key without number', ['pt A l4', 'map A 0x0 0x0 1 4k pk'], '2:21: no key after "k" in "pk"'],
  ['a bit without sign', ['prot32', 'cr0 WP'], '2:5: "WP" has no sign'],
  ['a bit of another register', ['prot32', 'cr4 +NX'], '2:5: unknown flag "+NX" for cr4'],
  ['a minus in enterlong', ['pt A l4', 'prot32', 'enterlong A -PGE'], '3:13: "-PGE" has no sign'],
  ['a feature', ['if avx', 'endif'], '1:4: unknown feature "avx"'],
  ['a name', ['pt 4a l4'], '1:4: "4a" is no tree name'],
  ['a name twice', ['pt A l4', 'pt A pae'], '2:4: "A" is defined twice'],
  ['a phase name over 47 characters', [`phase ${'a'.repeat(48)}`], `1:7: "${'a'.repeat(48)}" is no phase name`],
  ['a closing word alone', ['end'], '1:1: "end" closes nothing'],
  ['blocks that cross', ['repeat 2', 'if pku', 'end', 'endif'], '3:1: "end" inside the "if" of line 2'],
  ['a closing word with arguments', ['repeat 2', 'end 2'], '2:5: "end" takes no arguments'],
  [
    'an if that does not restore',
    ['prot32', 'if smep', 'cr4 +SMEP', 'endif'],
    '4:1: this "if" begins with cr4 = 0x0 and ends with 0x100000',
  ],
  [
    'a loop that changes the mode',
    ['repeat 2', 'prot32', 'cr0 -PE', 'end'],
    '4:1: this "repeat" begins with code width = 16 and ends with 32',
  ],
  ['a level the tree has not', [...long, 'pte A 0x10000000 5 p 0x0'], '6:18: level 5 in the l4 tree "A"'],
  ['an entry without address', [...long, 'pte A 0x10000000 1 p'], '6:21: "pte" has only 4 arguments'],
  ['an empty entry with address', [...long, 'pte A 0x10000000 1 0 0x0'], '6:22: an empty entry has no address'],
  [
    'an entry under a large page',
    ['pt A l4', 'map A 0x0 0x0 1 2m p', 'prot32', 'pte A 0x0 1 0'],
    '4:7: a large page covers 0x0 in "A"',
  ],
  ['PDPTEs of another format', [...long, 'pdptes A'], '6:8: "A" has format l4'],
  [
    'an address that 32-bit code cannot form',
    ['prot32', 'r 0xfffffff0'],
    '2:3: 0x100000000 is out of reach in 32-bit code',
  ],
  [
    'a stride that leaves 4 GiB',
    ['prot32', 'touchw 0x0 0x7fffffff'],
    '2:8: 0x100000000 is out of reach in 32-bit code',
  ],
  ['an address that real mode cannot form', ['r 0x10000'], '1:3: 0x10010 is out of reach in real mode'],
  ['64-bit code needed', ['prot32', 'wrpkru 0x4'], '2:1: "wrpkru" in 32-bit code'],
  ['long mode needed', ['prot32', 'far64'], '2:1: far64 outside long mode'],
  ['a privileged op in ring 3', [...long, 'user', 'cr0 +WP', 'enduser'], '7:1: "cr0" inside "user"'],
  ['a loop in ring 3', [...long, 'user', 'repeat 2', 'end', 'enduser'], '7:1: "repeat" inside "user"'],
  [
    'vmrun without svmon',
    [...long, 'vmcb V 0x41000 A - 1', 'l2 b', 'endl2', 'vmrun V b'],
    '9:1: "vmrun" while EFER.SVME is 0',
  ],
  ['a VMCB that is not there', [...long, 'svmon', 'vmrun V b'], '7:7: no VMCB "V"'],
  ['a VMCB off its page', [...long, 'vmcb V 0x41010 A - 1'], '6:8: VMCB address 0x41010 is not aligned'],
  ['a block that is not there', [...long, 'vmcb V 0x41000 A - 1', 'svmon', 'vmrun V b'], '8:9: no L2 block "b"'],
  ['a block twice', [...long, 'l2 b', 'endl2', 'l2 b', 'endl2'], '8:4: L2 block "b" is defined twice'],
  ['a block in a block', [...long, 'l2 b', 'l2 c', 'endl2', 'endl2'], '7:1: "l2" inside "l2"'],
  ['a vCPU that is not there', ['vcpus 2', 'on 2', 'endon'], '2:4: no vCPU 2'],
  ['EPT of the wrong format', ['pt A l4', 'pt E pae', 'vmcs V A E'], '3:10: "E" has format pae'],
  [
    'a seed that gives zeros',
    [...long, 'bulk r 0x10000000 4 9 uniform seed=0x9e3779b9'],
    '6:31: seed=2654435769 gives zeros only',
  ],
  ['NUL', ['prot32', 'cr0\0 +WP'], '2:4: a NUL byte'],
  ['a line without end', ['prot32', `# ${'x'.repeat(70_000)}`], '2:65537: line is longer than 65536 bytes'],
])('refuses %s', (_, lines, expected) => {
  expect(found(...lines)).toBe(`wp.ops:${expected}`);
});

test('a loop of an L2 block and a loop around its run would share a counter', () => {
  const vm = [...long, 'vmcb V 0x41000 A - 1', 'svmon'];
  const block = ['l2 b', 'repeat 2', 'r 0x10000000', 'end', 'endl2'];
  expect(found(...vm, ...block, 'repeat 3', 'vmrun V b', 'end')).toBe(
    'wp.ops:14:1: a loop around "vmrun" and a loop in block "b" share a counter',
  );
  // Inside the loop, the block's own loop counts at 0x608.
  expect(() => parseOps([...vm, 'repeat 3', ...block, 'vmrun V b', 'end'].join('\n'), 'x.ops')).not.toThrow();
});

test('the page-table pool holds 256 pages', () => {
  // An l4 tree with ident takes six pages: root, one table of level 3, two each of levels 2 and 1. 42 * 6 + 4 = 256.
  const trees = Array.from({ length: 42 }, (_, i) => [`pt A${i} l4`, `ident A${i}`]).flat();
  const roots = Array.from({ length: 4 }, (_, i) => `pt R${i} l4`);
  expect(() => parseOps([...trees, ...roots].join('\n'), 'x.ops')).not.toThrow();
  expect(mistake(...trees, ...roots, 'map R0 0x0 0x0 1 4k p')).toBe(
    [
      'wp.ops:89:1: the page-table pool is exhausted',
      '    map R0 0x0 0x0 1 4k p',
      '    ^',
      '  expected: at most 256 table pages (0x100000 to 0x200000)',
      '  try: fewer trees, or regions that share tables',
    ].join('\n'),
  );
});

test('a word as long as its line is cut in the message', () => {
  expect(found(`repeat ${'9'.repeat(60_000)}`).length).toBeLessThan(200);
});

test('loops and blocks have a depth limit', () => {
  const nested = (open: string, close: string, depth: number) => [
    ...Array(depth).fill(open),
    ...Array(depth).fill(close),
  ];
  expect(() => parseOps(nested('repeat 2', 'end', 64).join('\n'), 'x.ops')).not.toThrow();
  expect(found(...nested('repeat 2', 'end', 65))).toBe('wp.ops:65:1: loops are nested too deep');
  expect(found(...nested('if pku', 'endif', 20_000))).toBe('wp.ops:129:1: blocks are nested too deep');
});

test('code that no longer fits the guest', () => {
  // 160 KiB from 0x8000 to 0x30000, 15 bytes a write after 90 for the way to long mode.
  const lines = [...long, ...Array(10_950).fill('cr0 +WP')];
  expect(found(...lines)).toMatch(/^wp\.ops:109\d\d:1: the guest code no longer fits$/);
});
