// SPDX-License-Identifier: GPL-2.0-only
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { UserError } from '../../src/errors.ts';
import { replay } from '../../src/replay/run.ts';
import { runCell } from '../../src/sweep/cell.ts';
import { filesHash } from '../../src/sweep/files-hash.ts';
import { cellCount, cellOf, cellText, type SweepHeader } from '../../src/sweep/header.ts';
import { taskOf } from '../../src/sweep/plan.ts';
import { cellsOfShard, isInShard, parseShard } from '../../src/sweep/shard.ts';
import { machineVersion, portVersion } from '../../src/sweep/versions.ts';
import { generate } from '../../src/workload/generators/index.ts';
import { fileIn, planned, tempFolder } from './sweeps.ts';

const { plan } = await planned();
const { header } = plan;
const numbers = Array.from({ length: header.cells }, (_, cell) => cell);

test('every combination once, eras first, then TLBs, kinds, workloads with their seeds', () => {
  expect(header.cells).toBe(12);
  expect(numbers.map((cell) => cellText(cellOf(header, cell))).slice(0, 6)).toEqual([
    'gen:toggle_cr0_wp?iterations=2&touches=1 seed 1, shadow, common, root-role',
    'gen:toggle_cr0_wp?iterations=2&touches=1 seed 1, shadow, common, cr0wp',
    'gen:toggle_cr0_wp?iterations=2&touches=1 seed 1, npt-legacy, common, root-role',
    'gen:toggle_cr0_wp?iterations=2&touches=1 seed 1, npt-legacy, common, cr0wp',
    'gen:toggle_cr0_wp?iterations=2&touches=1 seed 2, shadow, common, root-role',
    'gen:toggle_cr0_wp?iterations=2&touches=1 seed 2, shadow, common, cr0wp',
  ]);
  expect(new Set(numbers.map((cell) => cellText(cellOf(header, cell)))).size).toBe(12);
  expect(new Set(numbers.map((cell) => cellOf(header, cell).key)).size).toBe(12);
});

test('a key changes with the workload, the port, the machine, the kind, the vendor and the TLB, and with nothing else', () => {
  const keyOf = (change: Partial<SweepHeader>): string => cellOf({ ...header, ...change }, 0).key;
  const [workload] = header.workloads;
  const shape = { l1: { sets: 1, ways: 1 }, l2: null, pages: ['4k' as const], caches: null };
  const keys = [
    keyOf({}),
    keyOf({ workloads: [{ ...workload!, hash: 'x' }] }),
    keyOf({ eras: [{ ...header.eras[0]!, hash: 'x' }] }),
    keyOf({ eras: [{ ...header.eras[0]!, id: 'x' }] }),
    keyOf({ machine: 'x' }),
    keyOf({ mmus: ['ept'] }),
    keyOf({ vendor: 'vmx' }),
    keyOf({ tlbs: [{ name: 'common', shape }] }),
    keyOf({ tlbs: [{ name: 'common', shape: { ...shape, pages: ['4k', '2m'] } }] }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  // Other axes, other names for the same things, another place in the matrix.
  expect(keyOf({ shard: '2/3', tlbs: [{ name: 'other', shape: null }] })).toBe(keys[0]);
  expect(cellOf({ ...header, mmus: ['ept', 'shadow'] }, 2).key).toBe(keys[0]);
});

test('a cell has the totals of the replay', async () => {
  const era = eras.find(({ id }) => id === 'root-role')!;
  const workload = generate('toggle_cr0_wp', { iterations: 2, touches: 1, seed: 2 });
  const whole = replay(era, workload, { kind: 'shadow', implementation: null, vendor: 'svm' });
  if ('unavailable' in whole) throw new Error(whole.unavailable);
  const { executed, total, stopped, notInEra } = whole;
  expect(await runCell(taskOf(plan, 4))).toEqual({ executed, total, stopped, notInEra });
  expect(total.kvm.mmu_load).toBeGreaterThan(0);
});

test('a TLB of another shape changes what walks cost, and nothing that KVM counts', async () => {
  const text = [
    'schema: mmu-eras-sweep/1',
    'workloads: ["gen:context-switch"]',
    'eras: cr0wp',
    'mmus: [npt-legacy]',
    'tlbs: [common, {name: tiny, l1: {sets: 1, ways: 1}}, {name: cached, l1: {sets: 1, ways: 1}, caches: {level2: {sets: 4, ways: 4}}}]',
  ];
  const { plan: tlbs } = await planned(text.join('\n'));
  const totals = [];
  for (const cell of [0, 1, 2]) {
    const result = await runCell(taskOf(tlbs, cell));
    if ('unavailable' in result) throw new Error(result.unavailable);
    totals.push(result.total);
  }
  const [common, tiny, cached] = totals;
  expect(tiny!.cost.tlb_misses).toBeGreaterThan(common!.cost.tlb_misses);
  expect(cached!.cost.tlb_misses).toBe(tiny!.cost.tlb_misses);
  expect(cached!.cost.reads_nested).toBeLessThan(tiny!.cost.reads_nested);
  for (const { kvm } of [tiny!, cached!]) expect(kvm).toEqual(common!.kvm);
});

test('an era without the kind is a cell that says so', async () => {
  const { plan: old } = await planned(
    'schema: mmu-eras-sweep/1\nworkloads: [smm]\neras: base-role\nmmus: [npt-tdp-mmu]\n',
  );
  expect(await runCell(taskOf(old, 0))).toEqual({ unavailable: 'not in this era: npt with the tdp-mmu MMU' });
});

test('a workload that changes while the sweep runs is noticed', async () => {
  const folder = tempFolder();
  fileIn(folder, 'w.ops', 'prot32\n');
  const { plan: changing } = await planned(
    `schema: mmu-eras-sweep/1\nworkloads: ["${join(folder, 'w.ops')}"]\neras: cr0wp\nmmus: [npt]\n`,
  );
  fileIn(folder, 'w.ops', 'prot32\ncr0 +WP\n');
  await expect(runCell(taskOf(changing, 0))).rejects.toThrow(/another content than when the sweep began/);
});

test('a result of other code than the sweep began with is refused', async () => {
  const task = taskOf(plan, 0);
  for (const other of [{ machine: 'x' }, { port: 'x' }]) {
    await expect(runCell({ ...task, ...other })).rejects.toThrow(/built anew while the sweep ran/);
  }
});

test('shards share the cells out', () => {
  expect(parseShard('2/3')).toEqual({ index: 2, count: 3 });
  expect([...cellsOfShard({ index: 2, count: 3 }, 8)]).toEqual([1, 4, 7]);
  expect(isInShard(7, { index: 2, count: 3 })).toBe(true);
  expect(isInShard(7, { index: 1, count: 3 })).toBe(false);
  for (const text of ['', '0/3', '4/3', '1/0', '1', 'a/b', '1/2/3', '-1/2']) {
    expect(() => parseShard(text)).toThrow(UserError);
  }
});

test('the version of code is that of its files: names and contents, in whatever order they are found', () => {
  const folder = tempFolder();
  mkdirSync(join(folder, 'src', 'a'), { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(folder, 'src', name), text);
  write('b.ts', 'one');
  write('a/c.ts', 'two');
  const version = () => filesHash(['src'], folder);
  const before = version();
  write('notes.txt', 'no code');
  expect(version()).toBe(before);
  write('b.ts', 'two');
  const changed = version();
  expect(changed).not.toBe(before);
  write('b.ts', 'one');
  expect(version()).toBe(before);
  write('d.ts', '');
  expect(version()).not.toBe(before);
  expect(() => filesHash(['src/a'], tempFolder())).toThrow();
});

test('every port has a version of its own, and none is that of the machine', () => {
  const versions = [machineVersion(), ...eras.map(({ id }) => portVersion(id))];
  expect(new Set(versions).size).toBe(eras.length + 1);
});

test('the number of cells is the product of the axes', () => {
  expect(cellCount(header)).toBe(3 * 2 * 1 * 2);
});
