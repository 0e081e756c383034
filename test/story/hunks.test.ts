// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it, test } from 'vitest';
import { parseReference } from '../../src/facts/port-source.ts';
import { type PortHunk, portHunk } from '../../src/facts/reading.ts';
import { mistakeOf } from '../facts/mistake.ts';

const hunk = (reference: string, era: string): PortHunk => portHunk(parseReference(reference)!, era);
const marks = ({ lines }: PortHunk): string => lines.map(({ mark }) => (mark === 'gap' ? '…' : mark)).join('');

describe('port hunks', () => {
  it('a changed declaration against the era before', () => {
    const found = hunk('snapshots/2023-03-cr0wp/x86.ts#kvm_post_set_cr0', 'cr0wp');
    expect(found).toMatchObject({ change: 'changed', against: 'v5.19' });
    expect(marks(found)).toBe('  ++++       ');
    expect(found.lines.filter(({ mark }) => mark === '+').map(({ text }) => text.trim())[0]).toBe(
      'if (tdp_enabled(vcpu) && changed === CR0.WP) {',
    );
  });

  test.each([
    ['snapshots/2022-04-cpu-role/role.ts#cpu_role', 'cpu-role', 'new', '++++'],
    ['snapshots/2022-04-cpu-role/role.ts#mmu_role', 'root-role', 'removed', '----'],
    ['snapshots/2018-10-role-union/role.ts#mmu_base_role_mask', 'role-union', 'same', ' '],
    ['snapshots/2022-07-v5.19/role.ts#is_cr0_pg', 'v6.12', 'alone', ' '],
    ['snapshots/2008-12-base-role-before/calc.ts#is_nx', 'base-role^', 'alone', ' '],
  ])('%s in %s is %s', (reference, era, change, expected) => {
    const found = hunk(reference, era);
    expect(found.change).toBe(change);
    expect(marks(found)).toBe(expected);
  });

  it('long runs of unchanged lines are counted, and no changed line is lost', () => {
    const found = hunk('snapshots/2026-11-v7.2/masks.ts#update_permission_bitmask', 'v7.2');
    const long = hunk('snapshots/2020-12-v5.10/mmu_write.ts#kvm_mmu_pte_write', 'v5.10');
    expect(marks(found)).toContain('+');
    for (const { lines } of [found, long]) {
      for (const line of lines.filter(({ mark }) => mark === 'gap')) expect(line.text).toMatch(/^\d+ lines as before$/);
    }
  });

  it('a name that is not there says which are', () => {
    expect(mistakeOf(() => hunk('snapshots/2023-03-cr0wp/x86.ts#kvm_post_set_cr9', 'cr0wp'))).toMatch(
      /^snapshots\/2023-03-cr0wp\/x86\.ts: no declaration of kvm_post_set_cr9\n {2}expected: one of .*kvm_post_set_cr0/,
    );
    expect(mistakeOf(() => hunk('snapshots/2023-03-cr0wp/x87.ts#a', 'cr0wp'))).toContain('no such file');
  });
});
