// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import type { Comparison, StepDifference } from '../../src/replay/compare.ts';
import { compareDocument } from '../../src/report/compare.ts';
import { renderMarkdown } from '../../src/report/document.ts';

const step = (number: number, loads: number): StepDifference => ({
  step: number,
  line: 20,
  op: 'cr0 -WP',
  phase: 'toggle',
  a: { loads, unloads: loads, hits: 0, reasons: loads > 0 ? ['kvm_post_set_cr0 (CR0.WP)'] : [] },
  b: { loads: 0, unloads: 0, hits: 0, reasons: [] },
  roles: [],
});

const comparison = (steps: readonly StepDifference[]): Comparison => ({
  workload: 'wp',
  mode: 'npt',
  a: 'v5.17',
  b: 'cr0wp',
  ofTrace: false,
  steps,
  reloads: [],
  onlyIn: [],
  totals: [],
  notInEra: [],
  same: false,
});

it('rounds of a loop with the same outcome are one row, counted', () => {
  const markdown = renderMarkdown(compareDocument(comparison([step(17, 1), step(19, 1), step(21, 2), step(23, 1)])));
  expect(markdown.split('\n').filter((line) => line.includes('`cr0 -WP` |'))).toEqual([
    '| 17 | 3 | 20 | `cr0 -WP` | toggle | unloads 1, loads 1 [kvm_post_set_cr0 (CR0.WP)] | keeps its root |  |',
    '| 21 | 1 | 20 | `cr0 -WP` | toggle | unloads 2, loads 2 [kvm_post_set_cr0 (CR0.WP)] | keeps its root |  |',
  ]);
  expect(markdown).toContain('First divergence: step 17, line 20 `cr0 -WP` (phase toggle)');
});

it('a trace is not said to be equal step by step', () => {
  const reloads = [{ by: 'kvm_post_set_cr0', bits: 'CR0.WP', a: 475, b: 0 }];
  const markdown = renderMarkdown(compareDocument({ ...comparison([]), ofTrace: true, reloads }));
  expect(markdown).not.toContain('No step differs');
  expect(markdown).toContain('| kvm_post_set_cr0 | CR0.WP | 475 | 0 |');
});
