// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyCommand } from '../../src/cli/verify.ts';
import { UserError } from '../../src/errors.ts';
import { openClone } from '../../src/upstream/clone.ts';
import { packCapsule } from '../../src/upstream/pack.ts';
import type { Verification } from '../../src/verify/model.ts';
import { runCommand } from '../cli/capture.ts';
import { buildRepository, git } from '../upstream/repository.ts';
import { kernelOf } from './kernel.ts';

const sha = '01b31714bd90be2784f7145bf93b7f78f3d081e1';
let folder: string;
let repo: string;
let capsule: string;
let ids: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-verify-'));
  repo = join(folder, 'clone');
  const files = kernelOf('cr0wp');
  const person = { author: 'Ada Beispiel <ada@example.org>', date: '1229860800 +0200' };
  const host = 'arch/x86/include/asm/kvm_host.h';
  ids = buildRepository(repo, [
    { name: 'same', ...person, message: 'Import of a tree\n', files: files[sha]!, tag: 'imported' },
    {
      name: 'other',
      ...person,
      message: 'A local change\n',
      files: { [host]: files[sha]![host]!.replace('unsigned level:4', 'unsigned level:5') },
    },
  ]);
  capsule = join(folder, 'upstream.capsule');
  const clone = await openClone(repo);
  await packCapsule(clone, { revisions: [ids.same!, ids.other!], ranges: [] }, capsule);
  await clone.close();
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

test('the built command line finds the parser of C', () => {
  const bin = fileURLToPath(new URL('../../bin/mmu-eras.mjs', import.meta.url));
  const args = ['verify', '--capsule', capsule, '--era', 'cr0wp', '--at', `cr0wp=${ids.same}`];
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain(`\ncr0wp at ${ids.same}  layout         3        0                0\n`);
});

describe.each(['clone', 'capsule'])('a %s', (kind) => {
  const from = (): string[] => (kind === 'clone' ? ['--repo', repo] : ['--capsule', capsule]);

  test('agrees, and exits with 0', async () => {
    const { stdout, code } = await runCommand(verifyCommand, [
      ...from(),
      '--era',
      'cr0wp',
      '--at',
      `cr0wp=${ids.same}`,
    ]);
    expect(stdout).toContain(`\ncr0wp at ${ids.same}  layout         3        0                0\n`);
    expect(stdout).not.toContain('Differences');
    expect(code).toBe(0);
  });

  test('differs, names both places, and exits with 1', async () => {
    const { stdout, code } = await runCommand(verifyCommand, [
      ...from(),
      '--era',
      'cr0wp',
      '--at',
      `cr0wp=${ids.other}`,
    ]);
    expect(stdout).toContain(
      `\ncr0wp: union kvm_mmu_page_role at ${ids.other!.slice(0, 12)}\n    field 1: C has level in bits 0-4, we say level in bits 0-3\n`,
    );
    expect(stdout).toContain('    said in snapshots/2023-03-cr0wp/role.ts\n');
    expect(code).toBe(1);
  });

  test('without the commits of an era nothing can be checked: exit code 2', async () => {
    const { stdout, code } = await runCommand(verifyCommand, [...from(), '--era', 'cr0wp']);
    expect(stdout).toMatch(/\n0 agreed, 0 differs, \d+ could not check\n$/);
    expect(stdout).toContain(`no commit ${sha}: `);
    if (kind === 'clone') {
      expect(stdout).toContain(`fetch https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git ${sha}\n`);
      expect(stdout).toContain('fetch https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git tag v6.3.8\n');
    }
    expect(code).toBe(2);
  });
});

test('a tag works, the output is the same each time, and JSON has every finding', async () => {
  const argv = ['--repo', repo, '--era', 'cr0wp', '--at', 'cr0wp=imported', '--format', 'json'];
  const { stdout } = await runCommand(verifyCommand, argv);
  expect((await runCommand(verifyCommand, argv)).stdout).toBe(stdout);
  const { eras } = JSON.parse(stdout) as Verification;
  expect(eras.map(({ era, at }) => [era, at])).toEqual([['cr0wp', 'imported']]);
  expect(eras[0]!.findings.filter(({ outcome }) => outcome === 'agreed').length).toBeGreaterThan(200);
});

test('a partial clone without the texts says which object is missing', async () => {
  const partial = join(folder, 'partial');
  git(folder, ['clone', '--quiet', '--bare', '--filter=blob:none', `file://${repo}`, partial]);
  const argv = ['--repo', partial, '--era', 'cr0wp', '--at', 'cr0wp=imported'];
  const { stdout, code } = await runCommand(verifyCommand, argv);
  expect(code).toBe(2);
  expect(stdout).toMatch(
    /\narch\/x86\/kvm\/mmu\/mmu\.c of commit [0-9a-f]{40} needs object [0-9a-f]{40} which is not there: /,
  );
  expect(stdout).toMatch(
    /\n {4}git -C .*\/partial' fetch .*--filter=blob:none origin [0-9a-f]{40}\n|\n {4}git -C \S*\/partial fetch /,
  );
});

test.each([
  [['--at', 'cr0wp'], '--at cr0wp: no era and revision'],
  [['--at', 'cr0wp=--output=x'], 'revision: "--output=x"'],
  [['--at', 'cr0vp=main'], 'era: unknown era "cr0vp"'],
  [['--era', 'v5.99'], 'era: no era describes release v5.99'],
])('%s is a mistake', async (argv, message) => {
  const failure = await runCommand(verifyCommand, ['--repo', repo, ...argv]).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(UserError);
  expect((failure as UserError).message.startsWith(message)).toBe(true);
});
