// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { genCommand } from '../../src/cli/gen.ts';
import { fromJsonl } from '../../src/workload/from-jsonl.ts';
import { generate, generators } from '../../src/workload/generators/index.ts';
import { printOps } from '../../src/workload/print.ts';
import { runCommand } from './capture.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('without a name, every generator with its options and their defaults', async () => {
  const { stdout, code } = await runCommand(genCommand, []);
  expect(code).toBe(0);
  for (const { name, options } of generators) {
    expect(stdout).toContain(`${name}: `);
    for (const option of options) expect(stdout).toContain(`${option.meaning} (default ${option.default})`);
  }
});

test('writes the workload that the options describe', async () => {
  const { stdout } = await runCommand(genCommand, [
    'toggle_cr0_wp',
    '--iterations',
    '7',
    '--touches',
    '1',
    '--seed',
    '3',
  ]);
  expect(stdout).toBe(printOps(generate('toggle_cr0_wp', { iterations: 7, touches: 1, seed: 3 })));
});

test('writes JSONL', async () => {
  const { stdout } = await runCommand(genCommand, ['nested-pingpong', '--l1-touches', '2', '--format', 'jsonl']);
  expect(fromJsonl(stdout, 'x.jsonl')).toEqual(generate('nested-pingpong', { 'l1-touches': 2 }));
});

test('into a file, whole or not at all', async () => {
  const path = join(folder, 'cs.ops');
  const { stdout } = await runCommand(genCommand, ['context-switch', '-o', path]);
  expect(stdout).toBe('');
  expect(readFileSync(path, 'utf8')).toBe(printOps(generate('context-switch')));
  await expect(runCommand(genCommand, ['context-switch', '-o', folder])).rejects.toThrow('cannot be written (EISDIR)');
  await expect(runCommand(genCommand, ['context-switch', '-o', join(folder, 'no/x')])).rejects.toThrow('(ENOENT)');
  expect(readdirSync(folder)).toEqual(['cs.ops']);
});

test('an option that another generator has', async () => {
  await expect(runCommand(genCommand, ['toggle_cr0_wp', '--order', 'zipf'])).rejects.toThrow(
    'gen toggle_cr0_wp: unknown option "order"\n  expected: one of iterations pages touches seed',
  );
});
