// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { planSweep } from '../../src/sweep/plan.ts';
import { parseDescription } from '../../src/sweep/read.ts';
import { fileIn, tempFolder } from './sweeps.ts';

const minimal = ['schema: mmu-eras-sweep/1', 'workloads: [smm]', 'mmus: [npt]'];

const messageOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
};

const parse = (text: string) => parseDescription(text, 's.yaml').description;

test('what is left out has its default', () => {
  expect(parse(minimal.join('\n'))).toEqual({
    schema: 'mmu-eras-sweep/1',
    workloads: ['smm'],
    eras: 'all',
    mmus: ['npt'],
    vendor: 'svm',
    tlbs: ['common'],
  });
});

test('JSON says the same', () => {
  const description = { schema: 'mmu-eras-sweep/1', workloads: ['smm'], mmus: ['npt'], seeds: [4, 2] };
  expect(parse(JSON.stringify(description))).toEqual({ ...parse(minimal.join('\n')), seeds: [4, 2] });
});

test('a TLB of one level covers all sizes of page unless told otherwise', () => {
  const { tlbs } = parse([...minimal, 'tlbs:', '  - name: one', '    l1: {sets: 8, ways: 4}'].join('\n'));
  expect(tlbs).toEqual([{ name: 'one', l1: { sets: 8, ways: 4 }, l2: null, pages: ['4k', '2m', '1g'], caches: null }]);
});

test('a range of seeds', () => {
  expect(parse([...minimal, 'seeds: 7..9'].join('\n')).seeds).toEqual([7, 8, 9]);
});

describe('a mistake has file, line, column, what was found and what was expected', () => {
  const mistakes: readonly [name: string, lines: readonly string[], ...message: string[]][] = [
    ['no YAML', ['schema: [', 'x'], 's.yaml:2:1', 'expected: YAML or JSON'],
    ['a key twice', [...minimal, 'mmus: [ept]'], 's.yaml:4:1', 'unique'],
    ['an empty file', [''], 's.yaml:1:1: null', 'expected: a map'],
    ['a missing part', minimal.slice(0, 2), 's.yaml:1:1: no mmus', 'expected: a list'],
    ['another schema', ['schema: 2', ...minimal.slice(1)], 's.yaml:1:9: 2', 'expected: mmu-eras-sweep/1'],
    ['an unknown key', [...minimal, 'seds: [1]'], 's.yaml:4:1: unknown key "seds"', 'try: seeds'],
    [
      'an unknown kind',
      [...minimal.slice(0, 2), 'mmus: [npt, npt-legcy]'],
      's.yaml:3:13: "npt-legcy"',
      'try: npt-legacy',
    ],
    ['a list that is none', [...minimal.slice(0, 2), 'mmus: npt'], 's.yaml:3:7: "npt"', 'expected: a list'],
    ['an empty list', [...minimal.slice(0, 2), 'mmus: []'], 's.yaml:3:7: []', 'expected: at least one'],
    ['eras of another form', [...minimal, 'eras: {from: 1}'], 's.yaml:4:7: {"from":1}', 'expected: a word, or a list'],
    ['a number among eras', [...minimal, 'eras: [cr0wp, 5.19]'], 's.yaml:4:15: 5.19', 'expected: a word'],
    ['a seed that is none', [...minimal, 'seeds: [1, -1]'], 's.yaml:4:12: -1', 'expected: at least 0'],
    ['a range that runs back', [...minimal, 'seeds: 3..1'], 's.yaml:4:8: "3..1"', 'expected: a range a..b'],
    ['an unknown TLB', [...minimal, 'tlbs: [comon]'], 's.yaml:4:8: "comon"', 'expected: common, or a map'],
    [
      'sets that are no power of two',
      [...minimal, 'tlbs:', '  - name: x', '    l1: {sets: 3, ways: 4}'],
      's.yaml:6:16: 3\n        l1: {sets: 3, ways: 4}\n                   ^\n  expected: a power of two',
    ],
    [
      'too many entries',
      [...minimal, 'tlbs:', '  - name: x', '    l1: {sets: 8192, ways: 4}'],
      's.yaml:6:9',
      'expected: at most 16384 entries',
    ],
    [
      'an unknown key of a TLB',
      [...minimal, 'tlbs:', '  - name: x', '    l1: {sets: 4, ways: 4}', '    page: [4k]'],
      's.yaml:7:5: unknown key "page"',
      'try: pages',
    ],
    [
      'sizes of page out of order',
      [...minimal, 'tlbs:', '  - name: x', '    l1: {sets: 4, ways: 4}', '    pages: [2m]'],
      's.yaml:7:12: ["2m"]',
      'expected: sizes in ascending order from 4k',
    ],
  ];

  test.each(mistakes)('%s', async (_name, lines, ...message) => {
    const told = await messageOf(() => parse(lines.join('\n')));
    for (const part of message) expect(told).toContain(part);
  });
});

describe('a name that leads nowhere has its place in the description', () => {
  const planOf = (...lines: string[]) => {
    const file = fileIn(tempFolder(), 's.yaml', [...minimal, ...lines].join('\n'));
    return () => planSweep(file);
  };
  const cases: readonly [name: string, lines: string[], ...message: string[]][] = [
    ['an era', ['eras: [cr0wp, cpu-rol]'], 's.yaml:4:15: unknown era "cpu-rol"', 'try: cpu-role'],
    ['seeds without a generator', ['seeds: [1]'], 's.yaml:4:8: seeds without a generated workload'],
    ['the same TLB twice', ['tlbs: [common, common]'], 's.yaml:4:16: common a second time'],
  ];

  test.each(cases)('%s', async (_name, lines, ...message) => {
    const told = await messageOf(planOf(...lines));
    for (const part of message) expect(told).toContain(part);
  });

  const ofWorkloads = async (list: string, ...more: string[]) => {
    const lines = [minimal[0], `workloads: ${list}`, minimal[2], ...more];
    return messageOf(() => planSweep(fileIn(tempFolder(), 's.yaml', lines.join('\n'))));
  };

  test('a workload', async () => {
    expect(await ofWorkloads('[smm, wp-togle]')).toMatch(/s\.yaml:2:18: wp-togle: no such workload.*try: wp-toggle/s);
    expect(await ofWorkloads('[smm, a.ops]')).toContain('s.yaml:2:18: a.ops: no such file');
    expect(await ofWorkloads('[smm, smm]')).toContain('s.yaml:2:18: smm a second time');
    expect(await ofWorkloads('["gen:toggle_cr0_wp?iterations=x"]')).toContain(
      's.yaml:2:13: gen:toggle_cr0_wp?iterations=x: ',
    );
    expect(await ofWorkloads('["gen:toggle_cr0_wp?seed=3"]', 'seeds: [1]')).toContain('s.yaml:2:13: a seed of its own');
  });

  test('a mistake in a workload keeps its own place', async () => {
    const folder = tempFolder();
    fileIn(folder, 'bad.ops', 'prot32\ncr0 +WPX\n');
    const file = fileIn(folder, 's.yaml', [minimal[0], 'workloads: [bad.ops]', minimal[2]].join('\n'));
    expect(await messageOf(() => planSweep(file))).toContain('bad.ops:2:5');
  });
});

test('a file that is not there', async () => {
  expect(await messageOf(() => planSweep('/no/such.yaml'))).toContain('/no/such.yaml: no such file');
});

test('a description that repeats itself into the millions', async () => {
  const bomb = ['a: &a [1,1,1,1,1,1,1,1,1]', 'b: &b [*a,*a,*a,*a,*a,*a,*a,*a]', 'c: [*b,*b,*b,*b,*b,*b,*b,*b]'];
  expect(await messageOf(() => parse(bomb.join('\n')))).toContain('alias');
});

test('docs/sweep.md shows docs/sweep.yaml', async () => {
  const text = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
  expect(text('sweep.md')).toContain(`\n\`\`\`yaml\n${text('sweep.yaml')}\`\`\`\n`);
  const misspelt = text('sweep.yaml').replace('npt-tdp-mmu]', 'npt-tdp]');
  expect(text('sweep.md')).toContain(await messageOf(() => parseDescription(misspelt, 'sweep.yaml')));
  // 1 workload, and 1 with 4 seeds, 2 kinds, 3 TLBs, 3 eras.
  const plan = await planSweep(fileURLToPath(new URL('../../docs/sweep.yaml', import.meta.url)));
  expect(plan.header.cells).toBe(5 * 2 * 3 * 3);
});
