// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { decodeCommand } from '../../src/cli/decode.ts';
import { loadFacts } from '../../src/facts/index.ts';
import { parseRoleWord } from '../../src/facts/role-word.ts';
import { mistakeOf } from '../facts/mistake.ts';
import { runCommand } from './capture.ts';

interface Half {
  readonly half: string;
  readonly fields: { readonly name: string; readonly bits: string; readonly value: number }[];
  readonly unknown: number[];
}

interface Decoded {
  readonly word: string;
  readonly era: string | null;
  readonly layout: string;
  readonly base: Half;
  readonly ext: Half | null;
  readonly notes: string[];
}

async function decode(...argv: string[]): Promise<Decoded[]> {
  const { stdout, code } = await runCommand(decodeCommand, [...argv, '--format', 'json']);
  expect(code).toBe(0);
  return (JSON.parse(stdout) as { decodings: Decoded[] }).decodings;
}

const nonZero = ({ fields }: Half): Record<string, number> =>
  Object.fromEntries(fields.filter(({ value }) => value !== 0).map(({ name, value }) => [name, value]));

const expectedForms = 'up to 16 hex digits: 0x3784 or 3784 for a base word, 0x8100002704 for extended and base word';

describe('role words as typed', () => {
  test.each([
    ['0x3784', 0x3784, null],
    ['3784', 0x3784, null],
    ['0X3784', 0x3784, null],
    ['ffffffff', 0xffffffff, null],
    ['000003784', 0x3784, null],
    ['8100002704', 0x2704, 0x81],
    ['0x500d_00003794', 0x3794, 0x500d],
    // 16 digits are a 64-bit role even when the upper half is 0.
    ['0000000000003784', 0x3784, 0],
  ])('%s', (input, base, ext) => {
    expect(parseRoleWord(input)).toEqual({ input, base, ext });
  });

  test.each([
    ['37g4', 'decode: "37g4" is no hex number', '\n  try: mmu-eras decode 0x37 --era all'],
    ['', 'decode: "" is no hex number', ''],
    ['0x', 'decode: "0x" is no hex number', ''],
    ['_3784', 'decode: "_3784" is no hex number', '\n  try: mmu-eras decode 0x3784 --era all'],
    ['12345678901234567', 'decode: "12345678901234567" has 17 hex digits', ''],
  ])('"%s" is a mistake', (input, found, suggestion) => {
    expect(mistakeOf(() => parseRoleWord(input))).toBe(`${found}\n  expected: ${expectedForms}${suggestion}`);
  });
});

describe('decode', () => {
  // Words and fields as the recordings and the layouts' sources give them.
  test('the TDP root of a long-mode guest with WP and NX', async () => {
    const [cr0wp] = await decode('0x3784', '--era', 'cr0wp');
    expect(nonZero(cr0wp!.base)).toEqual({ level: 4, direct: 1, access: 7, efer_nx: 1, cr0_wp: 1 });
    expect(cr0wp!.ext).toBeNull();
    expect(cr0wp!.notes).toEqual([]);
  });

  test('a 64-bit role: extended half in the high word', async () => {
    const [cr0wp] = await decode('8100002704', '--era', 'cr0wp');
    expect(nonZero(cr0wp!.base)).toEqual({ level: 4, access: 7, cr0_wp: 1 });
    expect(nonZero(cr0wp!.ext!)).toEqual({ valid: 1, efer_lma: 1 });
  });

  test('the same extended word means something else two commits earlier', async () => {
    const [rootRole] = await decode('8100002704', '--era', 'root-role');
    expect(nonZero(rootRole!.ext!)).toEqual({ valid: 1, cr4_smep: 1 });
  });

  test('the four root words of a nonpaging shadow guest in 2008', async () => {
    const words = ['000F0020', '000F0120', '000F0220', '000F0320'];
    const decoded = await decode(...words, '--era', 'base-role');
    expect(decoded.map(({ base }) => nonZero(base))).toEqual(
      [0, 1, 2, 3].map((quadrant) => ({ level: 2, metaphysical: 1, access: 7, ...(quadrant ? { quadrant } : {}) })),
    );
  });

  test('bits that the layout does not name are named, not dropped', async () => {
    const [word] = await decode('0x00140000', '--era', 'cpu-role');
    expect(word!.base.unknown).toEqual([18, 20]);
    expect(word!.notes).toEqual(['unknown base bits set: 18, 20']);
    const [old] = await decode('100000780', '--era', 'base-role');
    expect(old!.notes).toEqual(['roles of this layout have no extended word', 'unknown ext bit set: 0']);
    const [union] = await decode('100000780', '--era', 'role-union');
    expect(union!.notes).toEqual(['the extended word of this layout has no fields yet', 'unknown ext bit set: 0']);
  });

  test('every word under every era named, and a layout by its id', async () => {
    const decoded = await decode('3784', '1784', '--era', 'all');
    expect(decoded).toHaveLength(2 * loadFacts().eras.length);
    const [later] = await decode('6f84', '--layout', 'L2026');
    expect(later).toMatchObject({ era: null, layout: 'L2026' });
    expect(nonZero(later!.base)).toEqual({ level: 4, direct: 1, access: 15, efer_nx: 1, cr0_wp: 1 });
  });

  test('text: fields, values in words, commits; at most 120 columns when piped', async () => {
    const { stdout } = await runCommand(decodeCommand, ['3784', '--era', 'cpu-role']);
    expect(stdout).toContain('0x00003784 in cpu-role (layout L2022a: ');
    expect(stdout).toMatch(/│ base │ 8-10 +│ access +│ 7 \(exec write user\) │/);
    expect(stdout.replace(/[│\s]+/g, ' ')).toContain('renamed and inverted from');
    expect(stdout).not.toContain('\u001b');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });

  test('csv and Markdown', async () => {
    const { stdout: csv } = await runCommand(decodeCommand, ['100003784', '--era', 'role-union', '--format', 'csv']);
    const lines = csv.trimEnd().split('\n');
    expect(lines[0]).toBe('word,era,layout,half,bits,field,value,meaning,commits');
    expect(lines.at(-1)).toBe('0x0000000100003784,role-union,L2018a,ext,0,,1,unknown bit,');
    const { stdout: md } = await runCommand(decodeCommand, ['3784', '--era', 'cr0wp', '--format', 'md']);
    expect(md).toContain('| half | bits | field | value | meaning | commits |\n| --- |');
  });

  test('no era, and an unknown one', async () => {
    await expect(runCommand(decodeCommand, ['3784'])).rejects.toThrow(
      'decode: no era\n  expected: --era with an era, release, commit, range, list or all, or --layout with a layout id\n  try: --era all',
    );
    await expect(runCommand(decodeCommand, ['3784', '--era', 'cr0-wp'])).rejects.toThrow(/try: cr0wp$/);
    await expect(runCommand(decodeCommand, ['3784', '--layout', 'L1'])).rejects.toThrow(/^layout: unknown layout "L1"/);
  });
});
