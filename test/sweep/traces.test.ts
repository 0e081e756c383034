// SPDX-License-Identifier: GPL-2.0-only
/** Traces as workloads of a sweep: totals as `replay` has them, kept under their bytes, refused when damaged. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { loadPorts } from '../../src/replay/ports.ts';
import { isAvailable, type ReplayResult } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { runCell } from '../../src/sweep/cell.ts';
import { textOf } from '../../src/sweep/file-lines.ts';
import { cellOf, cpuOf, hostOf } from '../../src/sweep/header.ts';
import { mergeShards } from '../../src/sweep/merge.ts';
import { headerLine, sweepLines } from '../../src/sweep/output.ts';
import { planSweep, taskOf } from '../../src/sweep/plan.ts';
import { runSweep } from '../../src/sweep/run.ts';
import { CellStore } from '../../src/sweep/store.ts';
import { type CellOptions, openWorkload } from '../../src/sweep/workload.ts';
import { EVENT, KIND_SHIFT, pageWord } from '../../src/trace/events.ts';
import { withTrace, writeTrace } from '../../src/trace/files.ts';
import { generatedTrace } from '../../src/trace/names.ts';
import { replayTrace } from '../../src/trace/replay-file.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';
import { fileOf } from '../trace/memory-file.ts';
import { fileIn, planned, realRunner, tempFolder, wholeSweep } from './sweeps.ts';

const bin = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'mmu-eras.mjs');
const folder = tempFolder();
const tracePath = join(folder, 'wp.mmut');
const trace = generatedTrace('gen:shadow-wp?events=16000&pages=256')!;
await writeTrace(tracePath, trace.header, async (writer) => {
  for await (const { words, count } of trace.pieces()) await writer.write(words, 0, count);
});
fileIn(folder, 'steps.ops', 'pt A l4\nident A\nmap A 0x10000000 0x400000 4 4k pw\nprot32\nenterlong A\nw 0x10000000\n');
const generator = 'gen:zipf-mix?events=40000&pages=2048';
const eras = await loadPorts('root-role,cr0wp');

const description = (workloads: string, more = ''): string =>
  `schema: mmu-eras-sweep/1\nworkloads: ${workloads}\neras: [root-role, cr0wp]\nmmus: [shadow, npt-legacy]\n${more}`;
fileIn(folder, 'mixed.yaml', description(`[wp.mmut, "${generator}", steps.ops]`));
const plan = await planSweep(join(folder, 'mixed.yaml'));
const store = new CellStore(join(folder, 'whole'));
await runSweep(plan, { shard: wholeSweep, store, openRunner: realRunner });
const whole = [...sweepLines(plan.header, wholeSweep, store)].join('');

/** What `replay` makes of a workload under both eras. */
async function replayed(name: string, options: CellOptions): Promise<ReplayResult[]> {
  const generated = generatedTrace(name);
  if (generated !== null) return replayTrace(generated, eras, options);
  const path = join(folder, name);
  if (name.endsWith('.mmut')) return withTrace(path, {}, (reader) => replayTrace(reader, eras, options));
  return eras.map((era) => replay(era, loadWorkload(path), options));
}

/** What is kept of a replay. */
function keptOf(result: ReplayResult) {
  if (!isAvailable(result)) throw new Error(result.unavailable);
  const { executed, total, stopped, notInEra } = result;
  return { executed, total, stopped, notInEra };
}

const messageOf = async (run: () => Promise<unknown>): Promise<string> => {
  try {
    await run();
  } catch (error) {
    if (error instanceof UserError) return error.message.replaceAll(`${folder}/`, '');
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('a cell has the totals of the replay', () => {
  test.each(['wp.mmut', generator, 'steps.ops'])('%s', async (name) => {
    for (const mmu of ['shadow', 'npt-legacy']) {
      const results = await replayed(name, hostOf(mmu, 'svm'));
      const cells = whole
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
        .filter((cell) => cell.workload === name && cell.mmu === mmu);
      expect(cells.map(({ era }) => era)).toEqual(['root-role', 'cr0wp']);
      for (const [i, cell] of cells.entries()) expect(cell).toMatchObject(keptOf(results[i]!));
    }
  });

  test('as the command prints them', () => {
    const args = ['replay', 'wp.mmut', '--eras', 'root-role,cr0wp', '--mmu', 'shadow', '--format', 'json'];
    const { stdout } = spawnSync(process.execPath, [bin, ...args], { cwd: folder, encoding: 'utf8' });
    const kept = JSON.parse(stdout).results.map(keptOf);
    expect([0, 1].map((cell) => store.get(cellOf(plan.header, cell).key))).toEqual(kept);
    expect(kept[0]).toMatchObject({ executed: 16000, stopped: null });
  });

  test('with another TLB too, which changes what walks cost', async () => {
    const tlb = '{name: cached, l1: {sets: 1, ways: 4}, caches: {level2: {sets: 1, ways: 4}}}';
    const { plan: shaped } = await planned(description(`["${tracePath}", "${generator}"]`, `tlbs: [${tlb}]\n`));
    for (const [number, name] of [[1, 'wp.mmut'] as const, [5, generator] as const]) {
      const options = { ...hostOf('shadow', 'svm'), cpu: cpuOf(shaped.header.tlbs[0]!) };
      const result = await runCell(taskOf(shaped, number));
      expect(result).toEqual(keptOf((await replayed(name, options))[1]!));
      expect(result).not.toEqual(store.get(cellOf(plan.header, number).key));
    }
  });
});

test('shards, joined, are the bytes of one run', () => {
  const files = [2, 1, 3].map((index) =>
    fileIn(folder, `${index}.jsonl`, [...sweepLines(plan.header, { index, count: 3 }, store)].join('')),
  );
  const { header, pieces } = mergeShards(files);
  expect(headerLine(header, wholeSweep) + [...textOf(pieces)].join('')).toBe(whole);
});

/** Runs the sweep as a process; `onStep` hears each line of progress. Resolves with how it ended, and the lines. */
async function sweepProcess(onStep: (steps: number, child: ChildProcess) => void = () => {}) {
  const args = [
    'sweep',
    'mixed.yaml',
    '--store',
    'killed',
    '--workers',
    '1',
    '--progress',
    'ndjson',
    '-o',
    'out.jsonl',
  ];
  const child = spawn(process.execPath, [bin, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'close');
  const steps: { done: number; total: number }[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    steps.push(JSON.parse(line));
    onStep(steps.length, child);
  }
  const [code, signal] = await ended;
  return { end: code ?? signal, steps };
}

test('a killed sweep goes on with what is missing, and its output is that of a sweep that nobody killed', async () => {
  // The first line says that none is finished.
  const killed = await sweepProcess((steps, child) => steps === 2 && child.kill('SIGKILL'));
  expect(killed.end).toBe('SIGKILL');
  expect(existsSync(join(folder, 'out.jsonl'))).toBe(false);
  const half = new CellStore(join(folder, 'killed'));
  const keys = Array.from({ length: plan.header.cells }, (_, cell) => cellOf(plan.header, cell).key);
  const kept = keys.filter((key) => half.get(key) !== null).length;
  expect(kept).toBeGreaterThanOrEqual(1);
  expect(kept).toBeLessThan(keys.length);
  const again = await sweepProcess();
  expect(again.end).toBe(0);
  expect(again.steps.map(({ done }) => done)).toEqual(
    Array.from({ length: keys.length - kept + 1 }, (_, i) => kept + i),
  );
  expect(readFileSync(join(folder, 'out.jsonl'), 'utf8')).toBe(whole);
});

test('an aborted signal ends a trace between two pieces: its cell is not kept, and no error', async () => {
  const { plan: endless, store: empty } = await planned(description('["gen:zipf-mix?events=1000000000000&pages=64"]'));
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  const run = { shard: wholeSweep, store: empty, openRunner: realRunner, signal: controller.signal };
  expect(await runSweep(endless, run)).toEqual({ cells: 4, finished: 0, failures: [] });
});

/** Sixteen reads, then more events; a chunk holds eight. */
async function smallTrace(name: string, ...more: number[]): Promise<string> {
  const reads = Array.from({ length: 16 }, (_, i) => [0xf0000000 + i, pageWord(EVENT.READ, 0x7f0000000)]);
  const path = join(folder, name);
  writeFileSync(path, await fileOf(Int32Array.from([...reads.flat(), ...more])));
  return path;
}

describe('a trace is known by its content', () => {
  test('a file by its bytes, whatever its name', async () => {
    const path = await smallTrace('a.mmut', 0, EVENT.WP << KIND_SHIFT);
    const { hash } = await openWorkload(path);
    // Header, index and sizes are the same.
    expect((await openWorkload(await smallTrace('b.mmut', 1, EVENT.WP << KIND_SHIFT))).hash).not.toBe(hash);
    copyFileSync(path, join(folder, 'c.mmut'));
    expect((await openWorkload(join(folder, 'c.mmut'))).hash).toBe(hash);
  });

  test('a generated one by all its options, the seed of the sweep among them', async () => {
    const { plan: seeded } = await planned(description('["gen:tlb-hit?events=100"]', 'seeds: [1, 2]\n'));
    const [first, second] = seeded.header.workloads;
    expect([first!.seed, second!.seed]).toEqual([1, 2]);
    expect((await openWorkload('gen:tlb-hit?events=100')).hash).toBe(first!.hash);
    expect((await openWorkload('gen:tlb-hit?seed=2&events=100')).hash).toBe(second!.hash);
    expect(second!.hash).not.toBe(first!.hash);
  });

  test('one that changes while the sweep runs is noticed', async () => {
    const path = await smallTrace('changing.mmut');
    const { plan: changing } = await planned(description(`["${path}"]`));
    await smallTrace('changing.mmut', 1, EVENT.CR3 << KIND_SHIFT);
    expect(await messageOf(() => runCell(taskOf(changing, 0)))).toMatch(/^changing\.mmut: another content than when/);
    await smallTrace('changing.mmut');
    expect(await runCell(taskOf(changing, 0))).toMatchObject({ executed: 16 });
  });
});

describe('refused', () => {
  const planOf = (workload: string) =>
    messageOf(() => planSweep(fileIn(folder, 'refused.yaml', description(`[smm, ${workload}]`))));

  test('a damaged file, before anything runs: place in the description, file, chunk, and what to do', async () => {
    const path = await smallTrace('damaged.mmut');
    const bytes = readFileSync(path);
    const second = bytes.indexOf('CHNK', bytes.indexOf('CHNK') + 4);
    bytes[second + 24]! ^= 1;
    writeFileSync(path, bytes);
    const told = await planOf('damaged.mmut');
    expect(told).toMatch(/^refused\.yaml:2:18: damaged\.mmut: chunk 1: checksum 0x\w{8} of events 8 and up\n/);
    expect(told).toContain('try: mmu-eras convert --salvage, which makes a file of the chunks before it');
    writeFileSync(path, bytes.subarray(0, second + 10));
    expect(await planOf('damaged.mmut')).toContain('damaged.mmut: chunk 1: the file ends here');
  });

  test('a file that is not there, and an option that the trace does not have', async () => {
    expect(await planOf('none.mmut')).toContain('refused.yaml:2:18: none.mmut: no such file');
    expect(await planOf('"gen:tlb-hit?page=1"')).toContain(
      'refused.yaml:2:18: gen:tlb-hit?page=1: unknown option "page"',
    );
  });

  test('an event that the guest cannot do: its cell ends the sweep and is not kept; finished ones are', async () => {
    await smallTrace('bad.mmut', 9, EVENT.CR3 << KIND_SHIFT);
    fileIn(folder, 'bad.yaml', description('[steps.ops, bad.mmut]'));
    const args = ['sweep', 'bad.yaml', '--store', 'whole', '--workers', '2'];
    const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { cwd: folder, encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('bad.mmut: event 16: cr3 with operand 9');
    const { header } = await planSweep(join(folder, 'bad.yaml'));
    const kept = Array.from({ length: header.cells }, (_, cell) => store.get(cellOf(header, cell).key) !== null);
    expect(kept).toEqual([true, true, true, true, false, false, false, false]);
  });
});
