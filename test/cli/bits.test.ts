// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { bitsCommand } from '../../src/cli/bits.ts';
import { type BitMap, bitMap, bitMapAsText } from '../../src/cli/facts/bit-map.ts';
import { outputOf } from '../../src/cli/terminal.ts';
import { runCommand } from './capture.ts';

async function printed(format: string): Promise<string> {
  const { stdout, code } = await runCommand(bitsCommand, ['--format', format]);
  expect(code).toBe(0);
  return stdout;
}

describe('bits', () => {
  test('json: both unions, and the life of the bit for the size of guest entries', async () => {
    const { unions } = JSON.parse(await printed('json')) as BitMap;
    expect(unions.map(({ union }) => union)).toEqual(['kvm_mmu_page_role', 'kvm_mmu_extended_role']);
    const bit4 = new Map(unions[0]!.columns.map(({ layout, bits }) => [layout, bits[4]]));
    expect(['L2008', 'L2018a', 'L2020', 'L2022a'].map((layout) => bit4.get(layout))).toEqual([
      'level',
      'cr4_pae',
      'gpte_is_8_bytes',
      'has_4_byte_gpte',
    ]);
    const field = unions[0]!.fields.find(({ name }) => name === 'has_4_byte_gpte')!;
    expect(field.events).toEqual([
      {
        what: 'renamed and inverted from gpte_is_8_bytes',
        sha: 'bb3b394d35e80d7a58ce015191e4960a13f54ba5',
        subject: 'KVM: X86: Rename gpte_is_8_bytes to has_4_byte_gpte and invert the direction',
        release: 'v5.17',
        verified: true,
        links: [
          'https://git.kernel.org/linus/bb3b394d35e80d7a58ce015191e4960a13f54ba5',
          'https://github.com/torvalds/linux/commit/bb3b394d35e80d7a58ce015191e4960a13f54ba5',
        ],
      },
    ]);
    const la57 = unions[1]!.fields.find(({ name }) => name === 'cr4_la57')!;
    expect(la57.events.map(({ what }) => what)).toEqual(['added', 'removed', 'brought back']);
  });

  test('text: neighbouring bits share a row, tables fit 120 columns, unproved releases are marked', async () => {
    const text = await printed('text');
    expect(text).toMatch(/│ 8-10 +│ access +│/);
    expect(text).toMatch(/│ 18 +│ +│ +│ passthrough +│/);
    expect(text).toContain('A release with ? is believed, not proved');
    expect(text).toMatch(/cr4_pae: .*\n( {2}.*\n)* {4}added: v2\.6\.35\? 5b7e0102ae74/);
    expect(text).not.toContain('\u001b');
    for (const line of text.split('\n').filter((one) => one.includes('│')))
      expect(line.length).toBeLessThanOrEqual(120);
  });

  test('a terminal gets links and emphasis; NO_COLOR takes the emphasis away; width follows the terminal', () => {
    const coloured = bitMapAsText(bitMap(), outputOf({ isTTY: true, columns: 100 }, {}, true));
    expect(coloured).toContain('\u001b[1m');
    expect(coloured).toContain(
      '\u001b]8;;https://git.kernel.org/linus/bb3b394d35e80d7a58ce015191e4960a13f54ba5\u0007bb3b394d35e8\u001b]8;;\u0007',
    );
    const rows = coloured.split('\n').filter((line) => line.startsWith('│') && !line.includes('\u001b'));
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(100);
    const plain = bitMapAsText(bitMap(), outputOf({ isTTY: true, columns: 100 }, { NO_COLOR: '1' }, false));
    expect(plain).not.toContain('\u001b[1m');
    const piped = bitMapAsText(bitMap(), outputOf({ columns: 40 }, {}, false));
    expect(piped).toBe(bitMapAsText(bitMap(), outputOf({ isTTY: false }, {}, false)));
  });

  test('csv: one line for each named bit of each layout', async () => {
    const lines = (await printed('csv')).trimEnd().split('\n');
    expect(lines[0]).toBe('union,layout,bit,field');
    expect(lines).toContain('kvm_mmu_page_role,L2026,20,cr4_smep');
    expect(lines).toContain('kvm_mmu_extended_role,L2022a,9,efer_lma');
    expect(lines.filter((line) => line.includes('(pad)'))).toEqual([]);
  });

  test('Markdown: one table a union with all layouts side by side, links in the list of fields', async () => {
    const md = await printed('md');
    expect(md).toContain('| bit | L2007 | L2008 | L2009 | L2010 | L2011 | L2015 | L2018a |');
    expect(md).toContain('[167f8a5cae99](https://git.kernel.org/linus/167f8a5cae99fb2050d3d674ca84457a526e23dd)');
  });
});
