// SPDX-License-Identifier: GPL-2.0-only
import { expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { fromJsonl } from '../../src/workload/from-jsonl.ts';

const header = '{"format":"mmu-eras-ops","version":1}';

function mistake(...lines: string[]): string {
  try {
    fromJsonl(lines.join('\n'), 'w.jsonl');
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('no mistake found');
}

test('lines may be left out, blank lines too; the file gives the name', () => {
  const text = `${header}\n\n{"op":"repeat","count":2}\n{"op":"phase","name":"a"}\n{"op":"end"}\n`;
  expect(fromJsonl(text, 'dir/w.jsonl')).toEqual({
    name: 'w',
    ops: [{ op: 'repeat', line: 3, count: 2, body: [{ op: 'phase', line: 4, name: 'a' }], endLine: 5 }],
  });
});

test('a message names line, column of the key, what was found and what is expected', () => {
  expect(mistake(header, '{"op":"cr0","bits":["+WPX"]}')).toBe(
    [
      'w.jsonl:2:13: unknown flag "+WPX" for cr0',
      '    {"op":"cr0","bits":["+WPX"]}',
      '                ^',
      '  expected: +BIT or -BIT with BIT one of PE MP EM TS ET NE WP AM NW CD PG',
      '  try: +WP',
    ].join('\n'),
  );
});

test.each([
  ['an empty file', [''], '1:1: an empty file'],
  ['a first line without format', ['{"op":"smi"}'], '1:1: no workload format'],
  ['another version', ['{"format":"mmu-eras-ops","version":2}'], '1:26: version 2'],
  [
    'a title of two lines',
    ['{"format":"mmu-eras-ops","version":1,"title":"a\\nb"}'],
    '1:38: a title that is no line of text',
  ],
  ['what is not JSON', [header, '{"op":'], '2:1: no JSON'],
  ['JSON that is no object', [header, '[1]'], '2:1: JSON that is no object'],
  ['no op', [header, '{"line":1}'], '2:1: no "op"'],
  ['an unknown op', [header, '{"op":"tuchr"}'], '2:2: unknown op "tuchr"'],
  ['a line that is no number', [header, '{"op":"smi","line":"1"}'], '2:13: line "1"'],
  ['a missing key', [header, '{"op":"pt","name":"A"}'], '2:2: "pt" without "format"'],
  ['an unknown key', [header, '{"op":"pt","name":"A","fmt":"l4"}'], '2:23: unknown key "fmt"'],
  ['a number as string', [header, '{"op":"repeat","count":"2"}'], '2:16: "count" is a string'],
  ['an address as number', [header, '{"op":"prot32"}', '{"op":"r","gva":4096}'], '3:11: "gva" is a number'],
  ['a fraction', [header, '{"op":"repeat","count":1.5}'], '2:16: "1.5" is not a number'],
  ['a list that is none', [header, '{"op":"cr0","bits":"+WP"}'], '2:13: "bits" is no list'],
  ['a flag that is not true', [header, '{"op":"far64","ltr":false}'], '2:15: "ltr" is false'],
  ['a gap in the arguments', [header, '{"op":"invpcid","type":0,"gva":"0x0"}'], '2:26: "gva" without "pcid"'],
  ['a name without definition', [header, '{"op":"ident","pt":"B"}'], '2:15: no page-table tree "B"'],
  ['a file that ends in a block', [header, '{"op":"repeat","count":2}'], '2:2: the file ends inside this "repeat"'],
  ['a closing op alone', [header, '{"op":"end"}'], '2:2: "end" closes nothing'],
  [
    'blocks that cross',
    [header, '{"op":"if","feature":"pku"}', '{"op":"end"}'],
    '3:2: "end" inside the "if" of line 2',
  ],
  [
    'a loop that does not restore',
    [header, '{"op":"repeat","count":2,"line":7}', '{"op":"cr0","bits":["+TS"]}', '{"op":"end","line":9}'],
    '4:2: this "repeat" begins with cr0 = 0x10 and ends with 0x18',
  ],
  [
    'an op that stands for others',
    [header, '{"op":"pt","name":"A","format":"l4"}', '{"op":"enterlong","pt":"B","bits":[]}'],
    '3:19: no page-table tree "B"',
  ],
])('refuses %s', (_, lines, expected) => {
  expect(mistake(...lines).split('\n')[0]).toBe(`w.jsonl:${expected}`);
});
