// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { layout, pad } from '../../src/role/layout.ts';
import { containerDifferences, layoutDifferences } from '../../src/verify/layout-check.ts';
import { type RoleUnion, unionsOf } from '../../src/verify/unions.ts';

/** The one union called `role` of a text. */
async function roleOf(text: string): Promise<RoleUnion> {
  const unions = await unionsOf(text, ['role']);
  expect(unions).toHaveLength(1);
  return unions[0]!;
}

const shown = ({ bits }: RoleUnion): string[] =>
  bits.map(({ name, shift, width }) => `${name ?? '-'} ${shift} ${width}`);

describe('bit-fields as gcc places them', () => {
  test.each([
    ['a word and a struct', 'union role { u32 word; struct { unsigned a:4; unsigned b:1; }; };', ['a 0 4', 'b 4 1']],
    [
      'padding without a name',
      'union role { u32 word; struct { unsigned a:4; unsigned :6; unsigned int b:8; }; };',
      ['a 0 4', '- 4 6', 'b 10 8'],
    ],
    [
      'several in one declaration',
      'union role { struct { u32 a:2, b:3, :1, c:1; }; };',
      ['a 0 2', 'b 2 3', '- 5 1', 'c 6 1'],
    ],
    ['a width in hexadecimal', 'union role { struct { unsigned a:0x10; unsigned b:1; }; };', ['a 0 16', 'b 16 1']],
    [
      'a field that would cross the word',
      'union role { struct { unsigned a:30; unsigned b:4; }; };',
      ['a 0 30', 'b 32 4'],
    ],
    [
      'width 0 ends the word',
      'union role { struct { unsigned a:3; unsigned :0; unsigned b:2; }; };',
      ['a 0 3', 'b 32 2'],
    ],
    ['bytes', 'union role { struct { u8 a:5; u8 b:4; }; };', ['a 0 5', 'b 8 4']],
    [
      'a struct in a struct starts the next word',
      'union role { struct { unsigned a:3; struct { unsigned b:2; unsigned c:1; }; unsigned d:1; }; };',
      ['a 0 3', 'b 32 2', 'c 34 1', 'd 35 1'],
    ],
    [
      'a union in a struct overlays',
      'union role { struct { union { unsigned a:3; unsigned b:5; }; unsigned c:1; }; };',
      ['a 0 3', 'b 0 5', 'c 5 1'],
    ],
    [
      'comments and attributes between',
      'union role {\n\tu32 word;\n\t/* one */\n\tstruct {\n\t\tunsigned a:4; // two\n\t\t/* three */\n\t\tunsigned b:1;\n\t};\n} __attribute__((packed));',
      ['a 0 4', 'b 4 1'],
    ],
    ['a word alone', 'union role { u32 word; };', []],
  ])('%s', async (_name, text, expected) => {
    const union = await roleOf(text);
    expect(union.doubt).toBeNull();
    expect(shown(union)).toEqual(expected);
  });

  test.each([
    ['union role { struct { unsigned a:WIDTH; }; };', 'line 1: the width "WIDTH" is no number'],
    ['union role {\nstruct { widget_t a:3; }; };', 'line 2: the size of "widget_t" is not known'],
    ['union role {\n#ifdef CONFIG_X\n\tu32 a;\n#endif\n};', 'line 2 is no plain member: #ifdef CONFIG_X u32 a; #endif'],
  ])('%s is left to the reader', async (text, doubt) => {
    expect((await roleOf(text)).doubt).toBe(doubt);
  });

  test('a union that is only named, or has another name, is not read', async () => {
    expect(await unionsOf('union role;\nunion rolex { u32 a; };\nstruct s { union role r; };', ['role'])).toEqual([]);
  });
});

const table = layout(32, [['level', 4], ['direct', 1], pad(3), ['access', 3], pad(13), ['smm', 8]]);
const matching = [
  'union role {',
  '\tu32 word;',
  '\tstruct {',
  '\t\tunsigned level:4;',
  '\t\tunsigned direct:1;',
  '\t\tunsigned :3;',
  '\t\tunsigned access:3;',
  '\t\tunsigned :13;',
  '\t\tunsigned smm:8;',
  '\t};',
  '};',
].join('\n');

describe('a union against a table', () => {
  test('names, order, widths and padding agree', async () => {
    expect(layoutDifferences(await roleOf(matching), table)).toEqual([]);
  });

  test('the padding that had a name until v4.2 is padding', async () => {
    const named = matching.replace('unsigned :3', 'unsigned pad_for_nice_hex_output:3');
    expect(layoutDifferences(await roleOf(named), table)).toEqual([]);
  });

  test('bits behind the last field of C are nobody’s', async () => {
    const short = layout(32, [['valid', 1], ['execonly', 1], pad(30)]);
    expect(
      layoutDifferences(await roleOf('union role { u32 word; struct { u32 valid:1, execonly:1; }; };'), short),
    ).toEqual([]);
    expect(layoutDifferences(await roleOf('union role { u32 word; };'), layout(32, [pad(32)]))).toEqual([]);
  });

  test.each([
    ['a name', 'direct:1', 'passthrough:1', ['field 2: C has passthrough in bit 4, we say direct in bit 4']],
    [
      'a width',
      'unsigned :13;',
      'unsigned :12;',
      [
        'field 5: C has padding in bits 11-22, we say padding in bits 11-23',
        'field 6: C has smm in bits 23-30, we say smm in bits 24-31',
      ],
    ],
    [
      'the order',
      'level:4;\n\t\tunsigned direct:1',
      'direct:1;\n\t\tunsigned level:4',
      [
        'field 1: C has direct in bit 0, we say level in bits 0-3',
        'field 2: C has level in bits 1-4, we say direct in bit 4',
      ],
    ],
    [
      'a field more',
      'smm:8;',
      'smm:7;\n\t\tunsigned mirror:1;',
      ['field 6: C has smm in bits 24-30, we say smm in bits 24-31', 'field 7: C has mirror in bit 31, we say none'],
    ],
    ['a field less', '\n\t\tunsigned smm:8;', '', ['field 6: C has none, we say smm in bits 24-31']],
    [
      'named bits where we have padding',
      'unsigned :3;',
      'unsigned quadrant:2;\n\t\tunsigned :1;',
      [
        'field 3: C has quadrant in bits 5-6, we say padding in bits 5-7',
        'field 4: C has padding in bit 7, we say access in bits 8-10',
        'field 5: C has access in bits 8-10, we say padding in bits 11-23',
        'field 6: C has padding in bits 11-23, we say smm in bits 24-31',
        'field 7: C has smm in bits 24-31, we say none',
      ],
    ],
  ])('%s differs', async (_what, from, to, differences) => {
    expect(matching).toContain(from);
    expect(layoutDifferences(await roleOf(matching.replace(from, to)), table)).toEqual(differences);
  });
});

describe('the union of both halves', () => {
  const whole =
    'union role { u64 as_u64; struct { union kvm_mmu_page_role base; union kvm_mmu_extended_role ext; }; };';

  test('base, then ext, beside one word', async () => {
    expect(containerDifferences(await roleOf(whole))).toEqual([]);
  });

  test('the halves the other way round', async () => {
    const turned =
      'union role { u64 as_u64; struct { union kvm_mmu_extended_role ext; union kvm_mmu_page_role base; }; };';
    expect(containerDifferences(await roleOf(turned))).toEqual([
      'C has u64 as_u64; union kvm_mmu_extended_role ext; union kvm_mmu_page_role base, we say u64 as_u64; union kvm_mmu_page_role base; union kvm_mmu_extended_role ext',
    ]);
  });
});
