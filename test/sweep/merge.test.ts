// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { textOf } from '../../src/sweep/file-lines.ts';
import type { SweepHeader } from '../../src/sweep/header.ts';
import { mergeShards } from '../../src/sweep/merge.ts';
import { headerLine, sweepLines } from '../../src/sweep/output.ts';
import { runSweep } from '../../src/sweep/run.ts';
import { planned, realRunner, tempFolder, wholeSweep } from './sweeps.ts';

const { plan, store } = await planned();
await runSweep(plan, { shard: wholeSweep, store, openRunner: realRunner });

const folder = tempFolder();
const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const shard = (index: number, count: number): string[] => [...sweepLines(plan.header, { index, count }, store)];
const shardFile = (index: number, count: number): string =>
  write(`${index}-of-${count}.jsonl`, shard(index, count).join(''));

const whole = shard(1, 1).join('');
const merged = (...files: string[]): string => {
  const { header, pieces } = mergeShards(files);
  return headerLine(header, wholeSweep) + [...textOf(pieces)].join('');
};
const messageOf = (...files: string[]): string => {
  try {
    merged(...files);
  } catch (error) {
    if (error instanceof UserError) return error.message.replaceAll(`${folder}/`, '');
    throw error;
  }
  throw new Error('nothing was thrown');
};

test('shards of any number and in any order give the bytes of one run', () => {
  for (const count of [1, 2, 5, 12]) {
    const files = Array.from({ length: count }, (_, i) => shardFile(i + 1, count));
    expect(merged(...files.reverse())).toBe(whole);
  }
});

test('more shards than cells: those without cells are headers alone', () => {
  const files = Array.from({ length: 14 }, (_, i) => shardFile(i + 1, 14));
  expect(readFileSync(files[13]!, 'utf8').split('\n')).toHaveLength(2);
  expect(merged(...files)).toBe(whole);
  // Cells are what counts.
  expect(merged(...files.slice(0, 12))).toBe(whole);
});

test('what was merged can be merged, and so can shards in one file', () => {
  expect(merged(write('whole.jsonl', whole))).toBe(whole);
  expect(merged(write('both.jsonl', [...shard(2, 2), ...shard(1, 2)].join('')))).toBe(whole);
});

test('a gap names cells, and the shards that are not there', () => {
  const told = messageOf(shardFile(1, 3), shardFile(3, 3));
  expect(told).toContain(
    '1-of-3.jsonl: 4 of 12 cells are missing\n    1: gen:toggle_cr0_wp?iterations=2&touches=1 seed 1, shadow, common, cr0wp\n',
  );
  expect(told).toContain('    4: ');
  expect(told).toContain('try: mmu-eras sweep FILE --shard 2/3');
  expect(messageOf(shardFile(1, 12))).toMatch(/11 of 12 cells.*… and 6 more/s);
});

test('a file that lost lines at its end', () => {
  const told = messageOf(shardFile(1, 2), write('cut.jsonl', shard(2, 2).slice(0, -1).join('')));
  expect(told).toContain('1 of 12 cells are missing\n    11: smm-pae, npt-legacy, common, cr0wp\n');
  expect(told).toContain('try: the shard again whose file was cut');
});

test('a file that was cut within a line', () => {
  const text = shard(2, 2).join('');
  expect(messageOf(shardFile(1, 2), write('cut.jsonl', text.slice(0, -100)))).toMatch(
    /cut\.jsonl:7: .*the file was cut/,
  );
  const lines = shard(2, 2);
  lines[3] = `${lines[3]!.slice(0, 50)}\n`;
  expect(messageOf(shardFile(1, 2), write('torn.jsonl', lines.join('')))).toMatch(
    /torn\.jsonl:4: a line that is no JSON/,
  );
});

test('a cell that comes twice names both files', () => {
  const told = messageOf(shardFile(1, 2), shardFile(2, 2), write('again.jsonl', shard(2, 2).join('')));
  expect(told).toMatch(/^again\.jsonl:2: cell 1 \(.*\) a second time; it is in .*2-of-2\.jsonl as well/);
});

test.each<[found: string, change: (header: SweepHeader) => object]>([
  ['another version of the machine (ffff, not ', () => ({ machine: 'ffff' })],
  ['another version of the port of cr0wp', ({ eras }) => ({ eras: [eras[0], { ...eras[1], hash: 'f' }] })],
  [
    'another version of the workload gen:toggle_cr0_wp?iterations=2&touches=1 seed 2',
    ({ workloads }) => ({ workloads: workloads.map((each) => (each.seed === 2 ? { ...each, hash: 'f' } : each)) }),
  ],
  ['other vendor', () => ({ vendor: 'vmx' })],
  ['other mmus', () => ({ mmus: ['shadow', 'ept'] })],
  ['other eras', ({ eras }) => ({ eras: [...eras].reverse() })],
  ['a first line with 99 cells', () => ({ cells: 99 })],
  ['a first line with another schema', () => ({ schema: 'mmu-eras-sweep/2' })],
  ['shard: 3/2', () => ({ shard: '3/2' })],
])('a mixture says what is different: %s', (found, change) => {
  const [first, ...rest] = shard(2, 2);
  const header = JSON.parse(first!);
  const text = [`${JSON.stringify({ ...header, ...change(header) })}\n`, ...rest].join('');
  const told = messageOf(shardFile(1, 2), write('other.jsonl', text));
  expect(told).toContain('other.jsonl:1');
  expect(told).toContain(found);
});

test('a line of another version below a right header', () => {
  const lines = shard(2, 2);
  lines[2] = lines[2]!.replace(/"key":"....../, '"key":"000000');
  expect(messageOf(shardFile(1, 2), write('mixed.jsonl', lines.join('')))).toMatch(
    /^mixed\.jsonl:3: cell 3 \(.*\) with the key 000000/,
  );
});

test('lines that no sweep writes', () => {
  const [header, cell] = shard(1, 2);
  expect(messageOf(write('empty.jsonl', ''))).toContain('empty.jsonl: an empty file');
  expect(messageOf(write('headless.jsonl', cell!))).toContain('headless.jsonl:1: a first line that is no header');
  expect(messageOf(write('stray.jsonl', `${header}{"cell":0}\n`))).toContain('stray.jsonl:2: a line that is no cell');
  expect(messageOf(write('list.jsonl', `${header}[]\n`))).toContain('list.jsonl:2: a line that is no cell');
  expect(messageOf(write('far.jsonl', header! + shard(2, 2)[1]))).toContain('cell 1 in shard 1/2 of 12 cells');
  expect(messageOf('/no/such.jsonl')).toContain('/no/such.jsonl: no such file');
  expect(messageOf(folder)).toContain('(EISDIR)');
});
