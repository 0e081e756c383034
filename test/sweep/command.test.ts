// SPDX-License-Identifier: GPL-2.0-only
/** The built command: shards as processes of their own, threads, signals, and what a full standard output does. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { fileIn, smallSweep, tempFolder } from './sweeps.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'bin', 'mmu-eras.mjs');
const folder = tempFolder();
fileIn(folder, 'small.yaml', smallSweep);
/** Far more cells than a test waits for. */
fileIn(
  folder,
  'long.yaml',
  'schema: mmu-eras-sweep/1\nworkloads: ["gen:toggle_cr0_wp?iterations=200"]\nmmus: [shadow, npt, ept]\nseeds: 1..100\n',
);

function mmuEras(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { cwd: folder, encoding: 'utf8' });
  return { status, stdout, stderr };
}

const filesIn = (store: string): string[] =>
  readdirSync(join(folder, store), { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name));

test('two shards in processes of their own, joined, are the bytes of one run in threads', () => {
  const whole = mmuEras('sweep', 'small.yaml', '--store', 'whole', '--workers', '2');
  expect({ status: whole.status, stderr: whole.stderr }).toEqual({ status: 0, stderr: '' });
  expect(whole.stdout.split('\n')).toHaveLength(1 + 12 + 1);
  for (const index of ['1', '2']) {
    const args = ['--shard', `${index}/2`, '--store', 'parts', '-o', `part-${index}.jsonl`, '--workers', '1'];
    expect(mmuEras('sweep', 'small.yaml', ...args)).toEqual({ status: 0, stdout: '', stderr: '' });
  }
  const merged = mmuEras('sweep', 'merge', 'part-2.jsonl', 'part-1.jsonl');
  expect(merged).toEqual({ status: 0, stdout: whole.stdout, stderr: '' });
});

/** Starts the long sweep and sends a signal when some cells are done. */
async function interrupted(signal: NodeJS.Signals, store: string, workers: string) {
  const args = [
    'sweep',
    'long.yaml',
    '--store',
    store,
    '--workers',
    workers,
    '--progress',
    'ndjson',
    '-o',
    'long.jsonl',
  ];
  const child = spawn(process.execPath, [bin, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const steps: { done: number; total: number }[] = [];
  const talk: string[] = [];
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('close', (code, by) => resolve(code ?? by));
  });
  for await (const line of createInterface({ input: child.stderr })) {
    if (!line.startsWith('{')) talk.push(line);
    else if (steps.push(JSON.parse(line)) === 4) child.kill(signal);
  }
  return { end: await ended, steps, talk: talk.join('\n') };
}

describe('signals', () => {
  test.each([
    ['SIGINT', '1', 130],
    ['SIGTERM', '2', 143],
  ] as const)(
    '%s with %s workers: what is finished is kept, nothing half-written, and it says how to go on',
    async (signal, workers, code) => {
      const { end, steps, talk } = await interrupted(signal, signal, workers);
      expect(end).toBe(code);
      const kept = filesIn(signal);
      expect(kept.length).toBeGreaterThanOrEqual(3);
      expect(kept.length).toBeLessThan(steps[0]!.total);
      for (const name of kept) JSON.parse(readFileSync(join(folder, signal, name), 'utf8'));
      expect(talk).toBe(
        `long.yaml: interrupted; ${kept.length} of ${steps[0]!.total} cells are finished and kept in ${signal}\n` +
          '  to go on: the same command again, which runs the cells left',
      );
      expect(existsSync(join(folder, 'long.jsonl'))).toBe(false);
    },
  );

  test('a kill that nobody can hear: the next run goes on from there', async () => {
    const { end } = await interrupted('SIGKILL', 'killed', '1');
    expect(end).toBe('SIGKILL');
    const kept = filesIn('killed').filter((name) => name.endsWith('.json'));
    expect(kept.length).toBeGreaterThanOrEqual(3);
    const again = await interrupted('SIGINT', 'killed', '1');
    expect(again.steps[0]!.done).toBe(kept.length);
    expect(filesIn('killed').filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

test('an output that cannot be written', () => {
  const { status, stdout, stderr } = mmuEras('sweep', 'small.yaml', '--store', 'whole', '-o', 'no/such/file');
  expect(stderr).toContain('no/such/file: no such folder (ENOENT)');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
});

test.runIf(existsSync('/dev/full'))('standard output on a full disk', () => {
  const { status, stderr } = spawnSync(process.execPath, [bin, 'sweep', 'small.yaml', '--store', 'whole'], {
    cwd: folder,
    stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
    encoding: 'utf8',
  });
  expect(stderr).toContain('standard output: the disk is full (ENOSPC)');
  expect(status).toBe(2);
});
