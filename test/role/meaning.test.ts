// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { baseFacts, compareFacts, derivedFacts, extendedFacts, type RoleComparison } from '../../src/role/meaning.ts';

/**
 * Root words of the recordings of 6.18.15 and 7.2.12, which the same guest had at the same moment, and cpu_role words
 * worked out from the two declarations: 7.2 gives `access` a fourth bit, drops smep_andnot_wp, and moves cr4_smep into
 * the base word.
 */

function layoutsOf(id: string) {
  const era = eras.find((each) => each.id === id);
  if (!era?.layouts.extended) throw new Error(`no port of ${id} with an extended word`);
  return { page: era.layouts.page, extended: era.layouts.extended };
}

const before = layoutsOf('v6.12');
const since = layoutsOf('v7.2');

const rootFacts = ({ page }: typeof before, word: number) => [...baseFacts(page, word), ...derivedFacts(page, word)];

const compareRoots = (a: number, b: number): RoleComparison => compareFacts(rootFacts(before, a), rootFacts(since, b));

const compareCpuRoles = (a: readonly [ext: number, base: number], b: readonly [ext: number, base: number]) =>
  compareFacts(
    [...rootFacts(before, a[1]), ...extendedFacts(before.extended, a[0])],
    [...rootFacts(since, b[1]), ...extendedFacts(since.extended, b[0])],
  );

describe('root_role of 6.18 and 7.2', () => {
  it.each([
    ['npt', 0x3784, 0x6f84],
    ['npt, five levels', 0x3785, 0x6f85],
    ['no paging', 0x1783, 0x2f83],
    ['long mode, WP=1', 0x3704, 0x6f04],
    ['long mode, WP=1, SMEP=1', 0x3704, 0x106f04],
    ['long mode, WP=0', 0x1704, 0x2f04],
    ['long mode, WP=0, SMAP=1', 0x9704, 0xaf04],
    ['long mode, WP=0, SMEP=1', 0x5704, 0x102f04],
    ['long mode, WP=0, SMEP=1, SMAP=1', 0xd704, 0x10af04],
  ])('%s: %x and %x say the same', (_name, a, b) => {
    expect(compareRoots(a, b)).toEqual({ differences: [], onlyA: [], onlyB: ['is_mirror', 'cr4_smep'] });
  });

  it('shadow NPT differs in what the kernels do differently: CR0.WP', () => {
    const { differences } = compareRoots(0x21704, 0x26f04);
    expect(differences.map(({ name, a, b }) => [name, a.value, b.value])).toEqual([['cr0_wp', 0, 1]]);
  });

  it('compares rights as sets', () => {
    // l1 with write and user: 6 before, 7 with the read bit since; without the right to execute in both.
    expect(compareRoots(0x3601, 0x6701).differences).toEqual([]);
    const { differences } = compareRoots(0x3601, 0x6f01);
    expect(differences.map(({ name, a, b }) => [name, a.value, b.value])).toEqual([['access', 7, 15]]);
  });

  it('takes a word of zeros as no role', () => {
    expect(compareRoots(0, 0).differences).toEqual([]);
  });
});

describe('cpu_role of 6.18 and 7.2', () => {
  it.each([
    ['long mode, WP=1 NX=1', [0x81, 0x3704], [0xc1, 0x6f04]],
    ['the same with SMEP', [0xa1, 0x3704], [0xc1, 0x106f04]],
    ['the same with SMAP', [0x91, 0x3704], [0xd1, 0x6f04]],
  ] as const)('%s', (_name, a, b) => {
    expect(compareCpuRoles(a, b)).toEqual({ differences: [], onlyA: [], onlyB: ['is_mirror', 'ext.has_pferr_fetch'] });
  });

  it('sees a changed CR4.SMEP in whichever word it stands', () => {
    const { differences } = compareCpuRoles([0xa1, 0x3704], [0xc1, 0x6f04]);
    expect(differences).toEqual([
      {
        name: 'cr4_smep',
        a: expect.objectContaining({ field: 'ext.cr4_smep', value: 1 }),
        b: expect.objectContaining({ field: 'cr4_smep', value: 0 }),
      },
    ]);
  });
});
