// SPDX-License-Identifier: GPL-2.0-only
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import type { Write } from '../../src/files.ts';
import { type CellResult, type CellTask, runCell } from '../../src/sweep/cell.ts';
import { cellOf } from '../../src/sweep/header.ts';
import { sweepLines } from '../../src/sweep/output.ts';
import type { SweepPlan } from '../../src/sweep/plan.ts';
import { runSweep, type SweepRun, unfinishedText } from '../../src/sweep/run.ts';
import { CellStore } from '../../src/sweep/store.ts';
import { inProcess, type Runner, WorkerDied } from '../../src/workers/runner.ts';
import { threads } from '../../src/workers/threads.ts';
import { planned, realRunner, smallSweep, wholeSweep } from './sweeps.ts';

const cells = 12;

/** Runs with what is given, else everything in this process. */
const run = (plan: SweepPlan, store: CellStore, given: Partial<SweepRun> = {}) =>
  runSweep(plan, { shard: wholeSweep, store, openRunner: realRunner, ...given });

/** A runner that counts what it is asked, and may do something else first. */
function counting(before: (count: number, task: CellTask) => void = () => {}) {
  const asked: CellTask[] = [];
  const runner: Runner<CellTask, CellResult> = inProcess((task, signal) => {
    asked.push(task);
    before(asked.length, task);
    return runCell(task, signal);
  });
  return { asked, openRunner: async () => runner };
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(json|tmp)$/.test(name));

const textOf = (plan: SweepPlan, store: CellStore): string => [...sweepLines(plan.header, wholeSweep, store)].join('');

const reference = await planned();
const state = await run(reference.plan, reference.store);
const expected = textOf(reference.plan, reference.store);

test('a whole run: header, then each cell with its result', () => {
  expect(state).toEqual({ cells, finished: cells, failures: [] });
  const [header, ...lines] = expected
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(header).toEqual({ ...reference.plan.header, shard: '1/1' });
  expect(lines.map(({ cell }) => cell)).toEqual(Array.from({ length: cells }, (_, cell) => cell));
  expect(lines[3]).toMatchObject({ mmu: 'npt-legacy', era: 'cr0wp', seed: 1, stopped: null, notInEra: [] });
});

test('what is finished is not run again', async () => {
  const { asked, openRunner } = counting();
  const seen: [number, number][] = [];
  await run(reference.plan, reference.store, { openRunner, onStart: (...counts) => seen.push(counts) });
  expect(asked).toEqual([]);
  expect(seen).toEqual([[cells, cells]]);
});

test('cells that are the same replay under two names run once', async () => {
  const { plan, store } = await planned(
    `${smallSweep}tlbs: [{name: a, l1: {sets: 1, ways: 4}}, {name: b, l1: {sets: 1, ways: 4}}]\n`,
  );
  const { asked, openRunner } = counting();
  expect(await run(plan, store, { openRunner })).toEqual({ cells: 2 * cells, finished: 2 * cells, failures: [] });
  expect(asked).toHaveLength(cells);
  expect(textOf(plan, store).match(/"tlb":"b"/g)).toHaveLength(cells);
});

test('an interrupted run keeps what it has; the next one goes on, and the whole is what one run gives', async () => {
  const { plan, store, folder } = await planned();
  const controller = new AbortController();
  const { openRunner } = counting((count) => {
    if (count === 5) controller.abort();
  });
  const first = await run(plan, store, { openRunner, signal: controller.signal });
  expect(first).toEqual({ cells, finished: 5, failures: [] });
  expect(filesIn(store.folder)).toHaveLength(5);
  expect(unfinishedText(first, { file: 's.yaml', folder, interrupted: true })).toBe(
    `s.yaml: interrupted; 5 of 12 cells are finished and kept in ${folder}\n` +
      '  to go on: the same command again, which runs the cells left\n',
  );
  const { asked, openRunner: again } = counting();
  expect((await run(plan, store, { openRunner: again })).finished).toBe(cells);
  expect(asked).toHaveLength(7);
  expect(textOf(plan, store)).toBe(expected);
});

describe('a full disk', () => {
  const full: Write = () => {
    throw Object.assign(new Error('no space'), { code: 'ENOSPC', syscall: 'write' });
  };
  const half: Write = (file, text) => {
    writeFileSync(file, text.slice(0, 20));
    full(file, text);
  };

  test.each([
    ['before a byte', full],
    ['in the middle of a cell', half],
  ])('%s: no half-written cell, and the message says how to go on', async (_name, refuse) => {
    const { plan, store } = await planned();
    const { openRunner } = counting();
    let writes = 0;
    const filling = new CellStore(store.folder, (file, text) =>
      ++writes > 3 ? refuse(file, text) : writeFileSync(file, text),
    );
    const failing = run(plan, filling, { openRunner });
    await expect(failing).rejects.toThrow(UserError);
    await expect(failing).rejects.toThrow(
      /cells: the disk is full \(ENOSPC\); 3 of 12 cells are finished and kept.*try: make room, then the same command again/s,
    );
    expect(filesIn(store.folder)).toHaveLength(3);
    expect(filesIn(store.folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect((await run(plan, store)).finished).toBe(cells);
    expect(textOf(plan, store)).toBe(expected);
  });
});

test('a thread that ends takes one cell with it, and no other', async () => {
  const { plan, store } = await planned();
  const script = new URL('../workers/fixtures/dying.mjs', import.meta.url);
  const dead = await run(plan, store, { openRunner: () => threads(script, 'cell', 2) });
  expect(dead.finished).toBe(11);
  expect(dead.failures.map(({ cell, error }) => [cell.cell, error instanceof WorkerDied])).toEqual([[10, true]]);
  expect(unfinishedText(dead, { file: 's.yaml', folder: 'f', interrupted: false })).toBe(
    'cell 10 (smm-pae, npt-legacy, common, root-role): its thread ended: worker exited with code: 7\n' +
      's.yaml: not finished; 11 of 12 cells are finished and kept in f\n' +
      '  to go on: the same command again, which runs the cells left\n',
  );
  const { asked, openRunner } = counting();
  await run(plan, store, { openRunner });
  expect(asked.map(({ era, options }) => [era, options.kind])).toEqual([['root-role', 'npt']]);
});

test('a bug in one cell is told with its stack, and the others run', async () => {
  const { plan, store } = await planned();
  const { openRunner } = counting((count) => {
    if (count === 2) throw new TypeError('ours');
  });
  const broken = await run(plan, store, { openRunner });
  expect(broken.finished).toBe(11);
  const text = unfinishedText(broken, { file: 's.yaml', folder: 'f', interrupted: false });
  expect(text).toMatch(/^cell 1 \(.*cr0wp\): TypeError: ours\n {4}at /);
});

describe('the store', () => {
  const key = cellOf(reference.plan.header, 0).key;
  const path = (store: CellStore) => join(store.folder, key.slice(0, 2), `${key}.json`);

  test.each([
    ['cut', (file: string) => truncateSync(file, 100)],
    ['zeros', (file: string) => writeFileSync(file, Buffer.alloc(300))],
    ['of another cell', (file: string) => writeFileSync(file, '{"key":"0","result":{"unavailable":"x"}}')],
    ['without a result', (file: string) => writeFileSync(file, `{"key":"${key}","result":{}}`)],
  ])('a cell whose file is %s is computed again', async (_name, spoil) => {
    const { plan, store } = await planned();
    await run(plan, store);
    spoil(path(store));
    expect(store.get(key)).toBeNull();
    const { asked, openRunner } = counting();
    await run(plan, store, { openRunner });
    expect(asked).toHaveLength(1);
    expect(textOf(plan, store)).toBe(expected);
  });

  test('what a killed process left is removed; what others write is not', async () => {
    const { store } = await planned();
    mkdirSync(join(store.folder, 'aa'), { recursive: true });
    const here = hostname().replaceAll('.', '-');
    const names = [`k.json.${here}.999999999.tmp`, `k.json.${here}.${process.pid}.tmp`, 'k.json.elsewhere.1.tmp'];
    for (const name of names) writeFileSync(join(store.folder, 'aa', name), '');
    store.removeLeftovers();
    expect(readdirSync(join(store.folder, 'aa')).sort()).toEqual(names.slice(1).sort());
  });

  test('a store that is a file', async () => {
    const { plan, folder } = await planned();
    const store = new CellStore(join(folder, 'sweep.yaml'));
    await expect(run(plan, store)).rejects.toThrow(/sweep\.yaml: a file, not a folder \(ENOTDIR\)/);
    expect(readFileSync(join(folder, 'sweep.yaml'), 'utf8')).toBe(smallSweep);
  });
});
