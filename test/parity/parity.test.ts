// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { isChance } from '../../src/parity/releases.ts';
import type { ParityRun } from '../../src/parity/run.ts';
import { parityPage } from '../../src/report/parity.ts';
import { everyRun } from './recordings.ts';

const { runs } = everyRun();
const nameOf = ({ release, mode, workload }: ParityRun): string => `${release} ${mode} ${workload}`;

test('the nine kernels are there', () => {
  expect(new Set(runs.map(({ release }) => release)).size).toBe(9);
  expect(runs.length).toBe(265);
});

describe.each(runs.map((run) => [nameOf(run), run] as const))('%s', (_name, run) => {
  test('runs to its end', () => {
    expect(run.stopped).toBeNull();
  });

  test('has the roots, register writes and roles that were recorded', () => {
    expect(run.groups.A.differences).toEqual([]);
    expect(run.groups.A.compared).toBeGreaterThan(70);
  });

  test('has the pages, faults and walks that were recorded', () => {
    const { B, C } = run.groups;
    const found = [...B.differences, ...C.differences].filter(({ field, phase }) => !isChance(run.chance, field, phase));
    expect(found).toEqual([]);
  });
});

test('docs/parity.md is what the command writes', () => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/parity.md', import.meta.url)), 'utf8');
  expect(page).toBe(parityPage(everyRun()));
});
