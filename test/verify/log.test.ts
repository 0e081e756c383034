// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logCommand } from '../../src/cli/log.ts';
import { UserError } from '../../src/errors.ts';
import { loadFacts } from '../../src/facts/index.ts';
import { openClone } from '../../src/upstream/clone.ts';
import { packCapsule } from '../../src/upstream/pack.ts';
import { bitHistories } from '../../src/verify/bit-history.ts';
import { citedNames, functionHistory } from '../../src/verify/function-history.ts';
import { runCommand } from '../cli/capture.ts';
import { buildRepository } from '../upstream/repository.ts';

describe('a role bit', () => {
  test('is followed through its names, with where it stood and each commit once', () => {
    const [bit, ...others] = bitHistories('has_4_byte_gpte');
    expect(others).toEqual([]);
    expect(bit).toMatchObject({
      union: 'kvm_mmu_page_role',
      names: ['glevels', 'cr4_pae', 'gpte_is_8_bytes', 'has_4_byte_gpte'].slice(1),
    });
    expect(bit!.commits.map(({ sha, what }) => `${sha?.slice(0, 12)} ${what}`)).toEqual([
      '5b7e0102ae74 added',
      '47c42e6b4192 renamed from cr4_pae',
      'bb3b394d35e8 renamed and inverted from gpte_is_8_bytes',
    ]);
    expect(bit!.places.at(-1)).toMatchObject({
      bits: 'has_4_byte_gpte in bit 4',
      eras: expect.arrayContaining(['cpu-role', 'v7.3']),
    });
    expect(bitHistories('gpte_is_8_bytes')[0]!.commits).toEqual(bit!.commits);
  });

  test('of both unions is told for both', () => {
    expect(
      bitHistories('cr4_smep')
        .map(({ union }) => union)
        .sort(),
    ).toEqual(['kvm_mmu_extended_role', 'kvm_mmu_page_role']);
  });

  test('that changed its width has that commit', () => {
    expect(bitHistories('access')[0]!.commits.flatMap(({ what }) => what)).toEqual([
      'added',
      'widened to 3 bits',
      'renamed from hugepage_access',
      'widened to 4 bits',
    ]);
  });

  test.each(loadFacts().roleBits.bits.map(({ name }) => name))('%s has commits with links', (name) => {
    for (const { commits } of bitHistories(name)) {
      expect(commits.length).toBeGreaterThan(0);
      for (const { sha, links } of commits) expect(links.length > 0).toBe(sha !== null);
    }
  });
});

describe('a function', () => {
  test('era by era, with the lines that are cited and the reads of the table of uses', () => {
    const history = functionHistory('kvm_post_set_cr0')!;
    const cr0wp = history.eras.find(({ era }) => era === 'cr0wp')!;
    expect(cr0wp).toMatchObject({ path: 'arch/x86/kvm/x86.c', code: 'other' });
    expect(cr0wp.url).toBe(
      `https://github.com/torvalds/linux/blob/01b31714bd90be2784f7145bf93b7f78f3d081e1/arch/x86/kvm/x86.c#L${cr0wp.line}`,
    );
    expect(history.eras.find(({ era }) => era === 'v6.12')!.url).toBe(
      'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tree/arch/x86/kvm/regs.c?h=v6.12.117',
    );
    expect(history.commits.map(({ sha }) => sha)).toContain('e40bcf9f3a187126ce74a05d3b177fc16874446f');
  });

  test('before v5.8 mmu.c has no folder of its own', () => {
    const eras = functionHistory('kvm_mmu_load')!.eras;
    expect(eras.find(({ era }) => era === 'v4.20')!.path).toBe('arch/x86/kvm/mmu.c');
    expect(eras.find(({ era }) => era === 'v5.17')!.path).toBe('arch/x86/kvm/mmu/mmu.c');
  });

  test('code of ours that changed with the commit of an era names that commit', () => {
    const [commit] = functionHistory('init_kvm_tdp_mmu')!.commits.filter(({ what }) =>
      what.includes('our code differs between cpu-role^ and cpu-role'),
    );
    expect(commit).toMatchObject({ sha: 'e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518', release: 'v5.19', verified: true });
  });

  test('every tenth cited name has a history, and every address parses', () => {
    const some = [...citedNames()].filter((_name, index) => index % 10 === 0);
    expect(some.length).toBeGreaterThan(30);
    for (const name of some) {
      const history = functionHistory(name)!;
      expect(history.eras.length).toBeGreaterThan(0);
      for (const { url } of history.eras) expect(url === null || new URL(url).protocol === 'https:').toBe(true);
    }
  });
});

describe('the command', () => {
  let folder: string;
  let repo: string;
  let ids: Record<string, string>;
  const x86 = 'arch/x86/kvm/x86.c';
  const host = 'arch/x86/include/asm/kvm_host.h';
  const person = { author: 'Ada Beispiel <ada@example.org>', date: '1229860800 +0200' };
  const code = (body: string): string =>
    `int other;\n\nvoid kvm_post_set_cr0(struct kvm_vcpu *vcpu)\n{\n\t${body}\n}\n`;
  const union = (wp: number): string =>
    `union kvm_mmu_page_role {\n\tu32 word;\n\tstruct {\n\t\tunsigned level:4;\n\t\tunsigned cr0_wp:${wp};\n\t};\n};\n`;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mmu-eras-log-'));
    repo = join(folder, 'clone');
    ids = buildRepository(repo, [
      { name: 'before', ...person, message: 'Before\n', files: { [x86]: code('old();'), [host]: union(2) } },
      { name: 'changed', ...person, message: 'Change\n', files: { [x86]: code('fresh();'), [host]: union(1) } },
      { name: 'elsewhere', ...person, message: 'Elsewhere\n', files: { 'fs/other.c': 'int x;\n' } },
    ]);
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  const at = (): string[] => ['--at', `v5.17=${ids.before}`, '--at', `v5.19=${ids.elsewhere}`];

  test.each(['kvm_post_set_cr0', 'cr0_wp'])(
    '%s: git log -L between the first era and the last that the clone has',
    async (name) => {
      const { stdout, code: exitCode } = await runCommand(logCommand, [name, '--repo', repo, ...at()]);
      expect(exitCode).toBe(0);
      const path = name === 'cr0_wp' ? host : x86;
      expect(stdout).toContain(`\ngit log -L, ${path}, ${ids.before!.slice(0, 12)}..${ids.elsewhere!.slice(0, 12)}\n`);
      expect(stdout).toContain(`\ncommit ${ids.changed}\n`);
      expect(stdout).toContain(
        name === 'cr0_wp' ? '\n-\t\tunsigned cr0_wp:2;\n+\t\tunsigned cr0_wp:1;\n' : '\n-\told();\n+\tfresh();\n',
      );
      expect(stdout).not.toContain(`${ids.elsewhere!}\n`);
      expect(stdout).not.toContain(`commit ${ids.before}`);
    },
  );

  test('a clone without the eras says so, and the facts are shown all the same', async () => {
    const { stdout } = await runCommand(logCommand, ['cr0_wp', '--repo', repo]);
    expect(stdout).toContain('cr0_wp in bit 13: L2015');
    expect(stdout).toContain('has none of the eras that have it');
  });

  test('a capsule has no history, and says so', async () => {
    const capsule = join(folder, 'upstream.capsule');
    const clone = await openClone(repo);
    await packCapsule(clone, { revisions: [ids.before!, ids.changed!], ranges: [] }, capsule);
    await clone.close();
    const { stdout } = await runCommand(logCommand, ['kvm_init_mmu', '--capsule', capsule]);
    expect(stdout).toContain('kvm_init_mmu, era by era');
    expect(stdout).toContain('a capsule has single commits and no history between them');
  });

  test('JSON has the model, and the same input gives the same bytes', async () => {
    const argv = ['kvm_init_mmu', '--format', 'json'];
    const { stdout } = await runCommand(logCommand, argv);
    expect((await runCommand(logCommand, argv)).stdout).toBe(stdout);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'kvm_init_mmu', histories: [{ kind: 'function' }], clone: [] });
  });

  test('an unknown name is a mistake with the nearest one', async () => {
    const failure = await runCommand(logCommand, ['kvm_init_mmuu']).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UserError);
    expect((failure as UserError).message).toContain('try: mmu-eras log kvm_init_mmu');
  });
});
