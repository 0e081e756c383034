// SPDX-License-Identifier: GPL-2.0-only
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkFacts } from '../../src/facts/check-facts.ts';
import { commitsFolder } from '../../src/facts/load.ts';
import { mistakeOf } from './mistake.ts';

const { eras } = checkFacts(commitsFolder());
const proposedAt = eras.findIndex(({ status }) => status === 'proposed');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-facts-'));
  cpSync(commitsFolder(), folder, { recursive: true });
});

afterEach(() => rmSync(folder, { recursive: true }));

/** Replaces text in a copy of a data file; the text must be there. */
function spoil(name: string, from: string, to: string): void {
  const text = readFileSync(join(folder, name), 'utf8');
  expect(text).toContain(from);
  writeFileSync(join(folder, name), text.replace(from, to));
}

describe('a mistake in the data names file, path, what was found and what was expected', () => {
  test('the copy is as good as the original', () => {
    expect(checkFacts(folder).eras.length).toBeGreaterThan(0);
  });

  test.each([
    [
      'eras.json',
      '"status": "proposed"',
      '"status": "rejected"',
      `commits/eras.json at eras[${proposedAt}].status: "rejected"\n  expected: one of "merged", "proposed"`,
    ],
    ['eras.json', '"seed": false', '"seed": "no"', 'commits/eras.json at eras[0].seed: "no"\n  expected: boolean'],
    [
      'eras.json',
      '"commit": "a770f6f28b1a9287189f3dc8333eb694d9a2f0ab"',
      '"commit": "a770f6f2"',
      'commits/eras.json at eras[1].commit: "a770f6f2"\n  expected: a full sha of 40 hex digits',
    ],
    [
      'eras.json',
      '"layout": "L2008"',
      '"layout": "L2005"',
      'commits/eras.json at base-role^.layout: "L2005"\n  expected: one of L2007, L2008, L2009, L2010, L2011, L2015, L2018a, L2018b, L2020, L2021, L2022a, L2022b, L2024, L2026',
    ],
    [
      'eras.json',
      '"previous": "base-role^"',
      '"previous": "base-rule^"',
      `commits/eras.json at base-role: "base-rule^"\n  expected: one of ${eras.map(({ id }) => id).join(', ')}`,
    ],
    [
      'eras.json',
      '"seed": false,',
      '"seed": false, "seeds": 1,',
      'commits/eras.json at eras[0]: unknown key seeds\n  expected: only the keys of the schema',
    ],
    [
      'role-bits.json',
      '"width_bits": 4',
      '"width_bits": 0',
      'commits/role-bits.json at bits[0].width_bits: 0\n  expected: at least 1',
    ],
    [
      'milestones.json',
      'https://github.com/torvalds/linux/commit/cea0f0e7ea54',
      'ftp://github.com/cea0f0e7ea54',
      'commits/milestones.json at milestones[0].urls.github: "ftp://github.com/cea0f0e7ea54"\n  expected: an https address',
    ],
    [
      'no-unload-v2.json',
      '"outcome": "replaced",',
      '',
      'commits/no-unload-v2.json at patches[6].outcome: nothing\n  expected: one of "landed", "dropped", "replaced", "reworked"',
    ],
    [
      'layouts.json',
      '"after": "L2015"',
      '"after": "L2016"',
      'commits/layouts.json at L2018a.after: "L2016"\n  expected: one of L2007, L2008, L2009, L2010, L2011, L2015, L2020, L2021, L2022a, L2022b, L2024, L2026',
    ],
    [
      'uses/cpu-role.json',
      '"word": "cpu_role"',
      '"word": "cpu_rule"',
      'commits/uses/cpu-role.json at rows[0].reads[0].word: "cpu_rule"\n  expected: one of "cpu_role", "root_role", "mmu_role", "base_role", "page_role", "mmu", "page", "registers", "cpuid", "host"',
    ],
  ])('%s: %s', (name, from, to, message) => {
    spoil(name, from, to);
    expect(mistakeOf(() => checkFacts(folder))).toBe(message);
  });

  test('a file that is missing or no JSON', () => {
    writeFileSync(join(folder, 'layouts.json'), '{');
    expect(mistakeOf(() => checkFacts(folder))).toMatch(/^commits\/layouts\.json: .*JSON.*\n {2}expected: JSON$/);
    rmSync(join(folder, 'layouts.json'));
    expect(mistakeOf(() => checkFacts(folder))).toBe(
      'commits/layouts.json: no such file\n  expected: a data file of the facts',
    );
  });
});
