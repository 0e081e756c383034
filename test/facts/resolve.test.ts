// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { eraRecord, loadFacts, resolveEra, resolveEras } from '../../src/facts/index.ts';
import { mistakeOf } from './mistake.ts';

const ids = (expression: string): string[] => resolveEras(expression).map(({ id }) => id);
const all = loadFacts().eras.map(({ id }) => id);
const releases = [...new Set(loadFacts().eras.flatMap((era) => era.releases))].join(', ');

describe('era expressions', () => {
  test.each([
    ['cpu-role', ['cpu-role']],
    ['cpu-role^', ['cpu-role^']],
    ['e5ed0fb', ['cpu-role']],
    ['e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518', ['cpu-role']],
    ['b8980508', ['cpu-role^']],
    ['e5ed0fb0^', ['cpu-role^']],
    ['36d9594d^', ['role-union^']],
    ['a770f6f2^', ['base-role^']],
    ['no-unload-v2^', ['v5.17']],
    ['v5.17', ['v5.17']],
    ['5.17', ['v5.17']],
    ['v2.6.30', ['base-role']],
    ['v4.20', ['v4.20']],
    ['v5.10', ['v5.10']],
    ['v5.19', ['v5.19']],
    ['6.4', ['cr0wp']],
    ['5.19..6.4', ['cpu-role^', 'cpu-role', 'root-role', 'v5.19', 'cr0wp', 'v6.1']],
    ['v5.10..v5.18', ['v5.10', 'v5.17']],
    ['role-union..no-unload-v2', ['role-union', 'v4.20', 'v5.10', 'v5.17', 'no-unload-v2']],
    ['e5ed0fb0^..7a458f0e', ['cpu-role^', 'cpu-role', 'root-role']],
    ['cr0wp,base-role, cr0wp', ['cr0wp', 'base-role']],
    ['all', all],
  ])('%s', (expression, expected) => {
    expect(ids(expression)).toEqual(expected);
  });

  test.each([
    [
      'cpurole',
      `era: unknown era "cpurole"\n  expected: ${all.join(', ')}, a commit of 7 or more digits, a release, a range a..b, or all\n  try: cpu-role`,
    ],
    [
      'e5ed0f',
      `era: unknown era "e5ed0f"\n  expected: ${all.join(', ')}, a commit of 7 or more digits, a release, a range a..b, or all\n  try: mmu-eras eras`,
    ],
    [
      'v5.14',
      `era: no era describes release v5.14\n  expected: one of ${releases}\n  try: v5.10 (v5.10), the last era before it`,
    ],
    ['2.6.20', `era: no era describes release 2.6.20\n  expected: one of ${releases}`],
    [
      '7a458f0e^',
      'era: no era is the code just before root-role\n  expected: a ^ after one of base-role, role-union, no-unload-v2, cpu-role\n  try: cpu-role, the era before it',
    ],
    [
      '6.5..6.6',
      `era: no era lies in 6.5..6.6\n  expected: a range that holds one of ${releases}, or of two eras in their order`,
    ],
    [
      'cr0wp,',
      `era: an empty name\n  expected: ${all.join(', ')}, a commit of 7 or more digits, a release, a range a..b, or all\n  try: mmu-eras eras`,
    ],
  ])('%s is a mistake', (expression, message) => {
    expect(mistakeOf(() => resolveEras(expression))).toBe(message);
  });

  test('one era where one is asked for', () => {
    expect(resolveEra('cr0wp').id).toBe('cr0wp');
    expect(mistakeOf(() => resolveEra('5.19..6.4'))).toBe(
      'era: "5.19..6.4" names 6 eras: cpu-role^, cpu-role, root-role, v5.19, cr0wp, v6.1\n  expected: one era\n  try: cpu-role^',
    );
  });

  test('a record by its id only', () => {
    expect(eraRecord('no-unload-v2').status).toBe('proposed');
    expect(() => eraRecord('e5ed0fb0')).toThrow(/unknown era "e5ed0fb0"/);
  });
});
