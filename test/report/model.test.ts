// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import type { RoleMap } from '../../src/replay/report-roles.ts';
import { entryState, modelOf, record, toggles } from './fixtures.ts';

const mapOf = (maps: readonly RoleMap[], purpose: RoleMap['purpose']): RoleMap =>
  maps.find((map) => map.purpose === purpose)!;

it('a role map takes the word in force at most entries', () => {
  const model = modelOf([
    record('v5.17', 'npt-tdp-mmu', {
      entryStates: [
        entryState('v5.17', [{ level: 4, cr0_wp: 1 }], { entries: 5 }),
        entryState('v5.17', [{ level: 3 }], { entries: 4 }),
        entryState('v5.17', [{ level: 3 }], { entries: 4, root: 1 }),
      ],
    }),
  ]);
  const [level] = mapOf(model.roleMaps, 'tables').rows;
  expect(level).toEqual({ name: 'level', cells: [{ field: 'level', value: 3, inverted: false }] });
});

it('the guest-walk map has only eras with a word of its own for that', () => {
  const model = modelOf(toggles());
  expect(mapOf(model.roleMaps, 'guest walk').columns.map(({ era, word }) => [era, word])).toEqual([
    ['cpu-role', 'cpu_role'],
    ['cr0wp', 'cpu_role'],
  ]);
  expect(mapOf(model.roleMaps, 'tables').columns.map(({ era, word }) => [era, word])).toEqual([
    ['v5.17', 'mmu_role'],
    ['no-unload-v2', 'mmu_role'],
    ['cpu-role', 'mmu_role'],
    ['cr0wp', 'root_role'],
  ]);
});

it('older names stand under their newest one, with the era’s own name and value', () => {
  const model = modelOf([
    record('base-role', 'npt-tdp-mmu', { entryStates: [entryState('base-role', [{ glevels: 4, metaphysical: 1 }])] }),
    record('v5.17', 'npt-tdp-mmu', { entryStates: [entryState('v5.17', [{ direct: 1 }])] }),
  ]);
  const { rows } = mapOf(model.roleMaps, 'tables');
  const row = (name: string) => rows.find((each) => each.name === name)?.cells;
  expect(row('direct')).toEqual([
    { field: 'metaphysical', value: 1, inverted: false },
    { field: 'direct', value: 1, inverted: false },
  ]);
  expect(row('glevels')).toEqual([{ field: 'glevels', value: 4, inverted: false }, null]);
  expect(row('has_4_byte_gpte')).toEqual([null, { field: 'has_4_byte_gpte', value: 0, inverted: false }]);
});

it('rows on which eras agree are one row', () => {
  const [section] = modelOf(toggles()).workloads[0]!.sections;
  expect(section!.reloads.map(({ eras, by, count }) => [eras, by, count])).toEqual([
    [['v5.17', 'cpu-role'], 'kvm_post_set_cr0', 542],
    [['v5.17', 'no-unload-v2', 'cpu-role', 'cr0wp'], null, 1],
  ]);
});

it('walk cost has the sum over its dimensions', () => {
  const [section] = modelOf(toggles()).workloads[0]!.sections;
  expect(section!.eras).toEqual(['v5.17', 'no-unload-v2', 'cpu-role', 'cr0wp']);
  expect(section!.cost.find(({ name }) => name === 'reads of all dimensions')!.values).toEqual([
    48000, 6900, 48000, 6800,
  ]);
});

it('a phase that an era did not reach has no figure', () => {
  const [full, short] = [record('v5.17', 'npt-tdp-mmu'), record('cr0wp', 'npt-tdp-mmu', { phases: [] })];
  const phases = full.phases.map((phase) => ({
    ...phase,
    counts: { ...phase.counts, kvm: { ...phase.counts.kvm, mmu_load: 2 } },
  }));
  const [section] = modelOf([{ ...full, phases }, short]).workloads[0]!.sections;
  expect(section!.phases).toEqual([{ phase: 'toggle', counters: [{ name: 'mmu_load', values: [2, null] }] }]);
});
