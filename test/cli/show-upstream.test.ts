// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { showCommand } from '../../src/cli/show.ts';
import { buildFixture } from '../upstream/fixture.ts';
import { runCommand } from './capture.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-show-'));
  buildFixture(join(folder, 'clone'));
});
afterAll(() => rmSync(folder, { recursive: true }));

it('a clone without the commits: the page is whole, and each stop says what git would need', async () => {
  const { stdout, code } = await runCommand(showCommand, ['cr0wp', '--repo', join(folder, 'clone')]);
  expect(code).toBe(0);
  expect(stdout).toContain('01b31714bd90be2784f7145bf93b7f78f3d081e1');
  expect(stdout).toMatch(/git -C \S+ fetch/);
  expect(stdout).toContain('4. A child takes the role of its parent\n');
});

it('a folder that is no clone and a capsule that is no file are mistakes', async () => {
  await expect(runCommand(showCommand, ['cr0wp', '--repo', folder])).rejects.toThrow(/mmu-show-/);
  await expect(runCommand(showCommand, ['cr0wp', '--capsule', join(folder, 'none')])).rejects.toThrow(/none/);
  await expect(runCommand(showCommand, ['cr0wp', '--repo', folder, '--capsule', folder])).rejects.toThrow(/both/);
});
