// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { conformWalk } from '../../src/conform/walk.ts';
import { parseWalkRecord } from '../../src/conform/walk-record.ts';
import { answeredRecord, WalkRunner } from '../../src/conform/walk-run.ts';
import { UserError } from '../../src/errors.ts';

const linesOf = (mode: string): string[] =>
  gunzipSync(readFileSync(new URL(`../vectors/walk-${mode}.jsonl.gz`, import.meta.url)))
    .toString()
    .trimEnd()
    .split('\n');

/** Number of records in each file, as its description counts them. */
const modes = { '32bit': 4741, pse: 6032, pae: 5210, '4level': 7428, '5level': 7658, npt: 4504 };

describe.each(Object.entries(modes))('recorded walks: %s', (mode, count) => {
  const lines = linesOf(mode);

  it('agree in outcome, error code and every accessed and dirty bit', () => {
    const { sections } = conformWalk(mode, lines);
    expect(sections.flatMap(({ failures }) => failures)).toEqual([]);
    expect(sections.reduce((sum, { passed }) => sum + passed, 0)).toBe(count);
    expect(sections.every(({ failed, excluded }) => failed === 0 && excluded === 0)).toBe(true);
  });

  it('come back from their inputs alone, in the form they were recorded', () => {
    const runner = new WalkRunner();
    const differing = lines.filter((line) => {
      const { result, ad_on_fault, ...inputs } = JSON.parse(line);
      for (const entry of inputs.entries) delete entry.after;
      const record = parseWalkRecord(JSON.stringify(inputs), mode);
      return JSON.stringify(answeredRecord(record, runner.run(record))) !== line;
    });
    expect(differing).toEqual([]);
  });
});

describe('a changed expectation', () => {
  const failuresOf = (line: string) => conformWalk('copy', line).sections.flatMap(({ failures }) => failures);

  it.each([
    ['error_code', '4level', /"error_code":\d+/, '"error_code":32'],
    ['cause', 'pae', /"cause":"NX"/, '"cause":"US"'],
    ['cr2', '32bit', /"cr2":"0x/, '"cr2":"0xf'],
    ['gpa', 'pse', /"gpa":"0x/, '"gpa":"0xf'],
    ['hpa', 'npt', /"hpa":"0x/, '"hpa":"0xf'],
    ['exitinfo1', 'npt', /"exitinfo1":"0x1/, '"exitinfo1":"0x2'],
    ['exitinfo2', 'npt', /"exitinfo2":"0x/, '"exitinfo2":"0xf'],
    ['ad_on_fault', '5level', /,"ad_on_fault":1/, ''],
    // The accessed bit of the first entry, which the walk sets or finds set.
    ['entry 5', '5level', /"after":"(0x\w+)2(\w)"/, '"after":"$10$2"'],
  ])('fails, and the message names it: %s', (name, mode, pattern, replacement) => {
    const line = linesOf(mode).find((text) => pattern.test(text))!;
    const failures = failuresOf(line.replace(pattern, replacement));
    expect(failures).toHaveLength(1);
    expect(failures[0]).toContain(name);
  });

  it('is told with the access in words', () => {
    const [line] = linesOf('32bit').filter((text) => text.includes('"32bit-00006"'));
    expect(failuresOf(line!.replace('"error_code":2', '"error_code":3'))).toEqual([
      '32bit-00006 32bit supervisor write of 0x650543c8 nxe: error_code 2, expected 3',
    ]);
  });
});

describe('a record that is not understood', () => {
  const [good] = linesOf('4level');
  const [nested] = linesOf('npt');
  it.each([
    ['field', good!.replace('"pkru"', '"pkro"'), /unknown field "pkro"[\s\S]*try: pkru/],
    ['mode', good!.replace('"mode":"4level"', '"mode":"6level"'), /mode "6level"[\s\S]*one of 32bit/],
    ['guest mode', nested!.replace('"guest_mode":"pae"', '"guest_mode":"pse"'), /guest_mode "pse"/],
    ['bit', good!.replace('"cr0_wp":1', '"cr0_wp":2'), /cr0_wp 2[\s\S]*0 or 1/],
    ['number', good!.replace('"cr3":"0x', '"cr3":"'), /cr3 [\s\S]*hex digits/],
    ['missing field', good!.replace('"user":0,', ''), /no "user"/],
    ['entry field', good!.replace('"level":4', '"lvl":4'), /entry 0: unknown field "lvl"/],
    ['missing answer', good!.replace('"result"', '"raw"'), /record without its answer/],
    ['contradiction', good!.replace(/("entries":\[)({[^}]*"before":")/, '$1$20x0"},$2'), /0x0 and 0x[\s\S]*one value/],
    ['text', 'walk', /not JSON/],
    ['list', '[]', /JSON object/],
  ])('is refused with its place: %s', (_name, line, message) => {
    const run = () => conformWalk('walk.jsonl', `\n${line}`);
    expect(run).toThrow(UserError);
    expect(run).toThrow(message);
    expect(run).toThrow(/^walk\.jsonl:2/);
  });
});
