// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cr0Bits, cr4Bits, eferBits } from '../../src/workload/bits.ts';
import { fromJsonl } from '../../src/workload/from-jsonl.ts';
import { closers } from '../../src/workload/ops.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { printOps } from '../../src/workload/print.ts';
import { compile } from '../../src/workload/program.ts';
import { syntax } from '../../src/workload/syntax.ts';

const page = readFileSync(new URL('../../docs/ops.md', import.meta.url), 'utf8');

/** Fenced examples in one language. */
const examples = (language: string): string[] =>
  Array.from(page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)).flatMap(([, is, text]) => (is === language ? [text!] : []));

test('the examples parse, and are canonical', () => {
  expect(examples('ops')).toHaveLength(1);
  for (const text of examples('ops')) expect(printOps(parseOps(text, 'example.ops'))).toBe(text);
  expect(examples('jsonl')).toHaveLength(1);
  for (const text of examples('jsonl')) expect(compile(fromJsonl(text, 'example.jsonl')).steps).toHaveLength(1);
});

test('every op, closing word and register bit is there', () => {
  const prose = page.replace(/^```[\s\S]*?^```$/gm, '');
  const code = Array.from(prose.matchAll(/`([^`]+)`/g), ([, text]) => text!.split(' ')[0]!);
  for (const name of [...Object.keys(syntax), ...Object.values(closers)]) expect(code).toContain(name);
  for (const [register, bits] of Object.entries({ cr0: cr0Bits, cr4: cr4Bits, efer: eferBits })) {
    expect(page.replaceAll('\n', ' ')).toContain(`${register}: ${Object.keys(bits).join(' ')}.`);
  }
});
