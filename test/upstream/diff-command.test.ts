// SPDX-License-Identifier: GPL-2.0-only
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { diffCommand } from '../../src/cli/diff.ts';
import { loadFacts } from '../../src/facts/index.ts';
import { openClone } from '../../src/upstream/clone.ts';
import { packCapsule } from '../../src/upstream/pack.ts';
import { portDiff } from '../../src/upstream/ports.ts';
import { type Captured, runCommand } from '../cli/capture.ts';
import { buildFixture, paths } from './fixture.ts';
import { git } from './repository.ts';
import { mistakeFrom, scratch } from './scratch.ts';

/** The fixture has other ids than the kernel, so eras are named with `--at`. */

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
const capsule = join(folder, 'fixture.capsule');
let ids: Record<string, string>;
let at: string[];

beforeAll(async () => {
  ids = buildFixture(origin);
  at = ['--at', `cpu-role=${ids['cpu-role']}`];
  const source = await openClone(origin);
  await packCapsule(source, { revisions: Object.values(ids), ranges: [] }, capsule);
  await source.close();
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
});
afterAll(remove);

/** Runs the command; what it told on standard error comes too. */
async function diff(...args: string[]): Promise<Captured & { stderr: string }> {
  let stderr = '';
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    stderr += String(chunk);
    return true;
  });
  try {
    return { ...(await runCommand(diffCommand, args)), stderr };
  } finally {
    write.mockRestore();
  }
}

const real = (...args: string[]): string =>
  git(origin, [
    '-c',
    'core.quotePath=false',
    '-c',
    `core.attributesFile=${join(folder, 'none')}`,
    'diff-tree',
    ...args,
  ]);

describe('diff of a commit', () => {
  it('shows the heading of the facts and the links, then what git shows', async () => {
    const { stdout, code } = await diff('cpu-role', '--repo', origin, ...at);
    expect(code).toBe(0);
    const patch = stdout.slice(stdout.indexOf('diff --git'));
    expect(stdout.slice(0, -patch.length).split('\n')).toEqual([
      `commit ${ids['cpu-role']}`,
      'Author:  Jürgen Groß <juergen@example.org>',
      'Date:    2022-04-13T21:33:20-04:00',
      'Subject: KVM: x86/mmu: Rename the role after the CPU',
      `git.kernel.org <https://git.kernel.org/linus/e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518>`,
      `GitHub <https://github.com/torvalds/linux/commit/e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518>`,
      'mail <https://lore.kernel.org/kvm/20220414074000.31438-8-pbonzini@redhat.com/>',
      '',
      '',
    ]);
    const lines = (text: string): string => text.replace(/^(@@ .*? @@).*$/gm, '$1');
    expect(lines(patch)).toBe(lines(real('-r', '-p', '--full-index', `${ids['cpu-role']}^`, ids['cpu-role']!)));
    git(join(folder, 'origin'), ['apply', '--check', '--reverse', '--exclude=arch/x86/kvm/mmu/mmu.c', '-'], stdout);
  });

  it('says the same from a capsule, in every form', async () => {
    const forms = [
      [],
      ['--stat'],
      ['--word'],
      ['--function', 'kvm_init_mmu'],
      ['--path', paths.host],
      ['--format', 'html'],
    ];
    for (const form of forms) {
      const fromClone = await diff('cpu-role', '--repo', origin, ...at, ...form);
      expect(await diff('cpu-role', '--capsule', capsule, ...at, ...form)).toEqual(fromClone);
      expect(fromClone.stdout).not.toBe('');
    }
  });

  it('takes any commit, and paths before or after a move', async () => {
    const { stdout } = await diff(ids.move!.slice(0, 10), '--repo', origin, '--stat', '--path', paths.oldMmu);
    expect(stdout).toContain(' arch/x86/kvm/{ => mmu}/mmu.c | 0\n 1 file changed, 0 insertions(+), 0 deletions(-)');
    // Nobody knows whether a commit that the facts do not name is anywhere else.
    expect(stdout).not.toContain('https://');
    const spaced = await diff(ids.topic!, '--repo', origin, '--path', paths.spaced);
    expect(spaced.stdout).toContain('+Mehr.');
  });

  it('keeps one function, and says when it did not change', async () => {
    const { stdout } = await diff('cpu-role', '--repo', origin, ...at, '--function', 'kvm_init_mmu');
    expect(stdout.match(/^[-+][^-+].*$/gm)).toEqual([
      '-\tvcpu->role = kvm_calc_base_role(vcpu);',
      '+\tvcpu->role = kvm_calc_cpu_role(vcpu);',
    ]);
    const same = await diff('cpu-role', '--repo', origin, ...at, '--function', 'count_steps');
    expect(same).toMatchObject({ code: 0, stderr: `commit ${ids['cpu-role']}: no change in count_steps\n` });
    const none = diff('cpu-role', '--repo', origin, ...at, '--function', 'kvm_mmu_laod');
    expect(await mistakeFrom(none)).toContain('no changed file defines it');
    const path = diff('cpu-role', '--repo', origin, ...at, '--path', 'arch/x86/kvm/nmu.c');
    expect(await mistakeFrom(path)).toContain('--path arch/x86/kvm/nmu.c: no such file or folder');
  });

  it('shows a release as all that happened since the era before', async () => {
    const { stdout } = await diff('v5.17', '--repo', origin, '--at', `v5.10=${ids.first}`, '--stat');
    expect(stdout).toContain(`From: ${ids.first} (${ids.first})`);
    expect(stdout).toContain(`To:   ${ids.release} (v5.17)`);
    expect(stdout).toContain('arch/x86/kvm/{ => mmu}/mmu.c');
    expect(stdout).not.toContain('Makefile');
  });

  it('gives links and ways to the diff where there is neither clone nor capsule', async () => {
    const { stdout, stderr, code } = await diff('cpu-role');
    expect(code).toBe(2);
    expect(stderr).toContain('no clone or capsule');
    expect(stdout).toContain('https://git.kernel.org/linus/e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518');
    expect(stdout).toContain('mmu-eras upstream sync && mmu-eras diff cpu-role');
    expect(stdout).toContain('mmu-eras diff cpu-role^ cpu-role');
    const milestone = (await diff('9645bb56b31a')).stdout;
    expect(milestone).toContain('9645bb56b31a: KVM: MMU: Use different shadows when EFER.NXE changes');
    expect(milestone).toContain('mmu-eras upstream sync && mmu-eras diff 9645bb56b31a');
    const other = (await diff('1234567890ab')).stdout;
    expect(other).toMatch(/^1234567890ab: a commit that the facts do not name$/m);
    expect(other).toContain('mmu-eras upstream sync --also 1234567890ab && mmu-eras diff 1234567890ab');
  });

  it('knows what has no diff of its own', async () => {
    expect(await mistakeFrom(diff('no-unload-v2', '--repo', origin))).toContain('never merged');
    expect(await mistakeFrom(diff('base-role^', '--repo', origin))).toContain('try: mmu-eras diff base-role');
    expect(await mistakeFrom(diff('cpu-rloe', '--repo', origin))).toContain('cpu-role');
    expect(await mistakeFrom(diff('cpu-role', '--repo', origin))).toContain('fetch');
    expect(await mistakeFrom(diff('cpu-role', '--repo', origin, '--at', 'cpu-role'))).toContain('ERA=REVISION');
    expect(await mistakeFrom(diff('cpu-role', '--repo', origin, '--at', 'cpu-role=--help'))).toContain('revision');
  });
});

describe('diff of two eras', () => {
  it('is the diff of their ports, file by file in the order of the files', async () => {
    const { stdout, code } = await diff('cpu-role^', 'cpu-role', '--citations');
    expect(code).toBe(1);
    const folders = ['2022-04-cpu-role-parent', '2022-04-cpu-role'] as const;
    const [before, after] = folders;
    const patch = stdout.slice(stdout.indexOf('diff --git'));
    // The oracle: the patch turns the one port into the other.
    const work = join(folder, 'ports');
    mkdirSync(work);
    for (const name of portDiff(before, after, { citations: true }).files.flatMap(({ newPath }) => newPath ?? [])) {
      const file = name.split('/').at(-1)!;
      const read = (port: string): string =>
        readFileSync(new URL(`../../snapshots/${port}/${file}`, import.meta.url), 'utf8');
      expect(applied(read(before), patch, file), file).toBe(read(after));
    }
    expect(
      stdout
        .match(/^\+\+\+ .*\/(\w+\.ts)$/gm)!
        .map((line) => line.split('/').at(-1))
        .slice(0, 3),
    ).toEqual(['role.ts', 'calc.ts', 'index.ts']);
    expect((await diff('cpu-role', 'cpu-role')).code).toBe(0);
  });

  it('leaves out what only cites another kernel, and says how much', async () => {
    const { stdout } = await diff('cpu-role^', 'cpu-role');
    expect(stdout).toMatch(/^Left out: \d+ lines that differ only in the commit or line they cite/m);
    expect(stdout).not.toContain('/smm.ts');
    expect((await diff('cpu-role^', 'cpu-role', '--citations', '--stat')).stdout).toContain('smm.ts');
  });

  it('names the declaration of a hunk, and keeps one', async () => {
    const { stdout } = await diff('v5.17', 'cpu-role', '--path', 'calc.ts', '--function', 'kvm_calc_cpu_role');
    expect(stdout).toContain('+export function kvm_calc_cpu_role(');
    expect(stdout).not.toContain('smm.ts');
    expect((await diff('v5.17', 'cpu-role', '--path', 'calc.ts')).stdout).toMatch(/^@@ .* @@ export function kvm_/m);
  });

  it('names a file or a declaration that neither port has', async () => {
    expect(await mistakeFrom(diff('v5.17', 'cpu-role', '--path', 'clac.ts'))).toContain('try: --path calc.ts');
    const none = await mistakeFrom(diff('v5.17', 'cpu-role', '--function', 'kvm_calc_cpu_rloe'));
    expect(none).toContain('try: --function kvm_calc_cpu_role');
    const same = await diff('cpu-role^', 'cpu-role', '--function', 'kvm_mmu_free_roots');
    expect(same).toMatchObject({ code: 0, stderr: 'ports cpu-role^..cpu-role: no change in kvm_mmu_free_roots\n' });
  });

  it('works for every pair of neighbours', () => {
    const { eras } = loadFacts();
    for (const era of eras) {
      const previous = eras.find(({ id }) => id === era.previous);
      if (!era.snapshot || !previous?.snapshot) continue;
      const { files } = portDiff(previous.snapshot, era.snapshot);
      for (const { hunks } of files)
        for (const { lines } of hunks) expect(lines.some((line) => /^[+-]/.test(line))).toBe(true);
    }
  });

  it('is the kernel one with --upstream, or where one is no era', async () => {
    const both = ['--at', `v5.17=${ids.wp}`, ...at];
    const { stdout, code } = await diff('v5.17', 'cpu-role', '--upstream', '--repo', origin, ...both, '--stat');
    expect(code).toBe(1);
    expect(stdout).toContain(`${ids.wp}..${ids['cpu-role']}`);
    const commits = await diff(ids.wp!, ids['cpu-role']!, '--repo', origin, '--stat');
    expect(commits.stdout).toBe(stdout);
    expect(await mistakeFrom(diff('v5.17', 'cpu-role', '--upstream'))).toContain('no clone and no capsule');
  });
});

describe('the page', () => {
  it('has the commit and the step of the ports side by side, and loads nothing', async () => {
    const { stdout } = await diff('cpu-role', '--repo', origin, ...at, '--format', 'html');
    expect(stdout).toContain('<main class="two">');
    expect(stdout.match(/<section aria-label="(Upstream|Ports)">/g)).toHaveLength(2);
    expect(stdout).toContain('kvm_calc_cpu_role');
    expect(stdout).toContain('2022-04-cpu-role');
    expect(stdout).not.toMatch(/<script|<link|<img|src=|url\(http/);
    expect(stdout).toContain("default-src 'none'");
  });

  it('has both for two eras as well, and the ports alone without a clone', async () => {
    const both = ['--at', `v5.17=${ids.wp}`, ...at];
    const pair = await diff('v5.17', 'cpu-role', '--repo', origin, ...both, '--format', 'html');
    expect(pair.stdout.match(/<section aria-label/g)).toHaveLength(2);
    const alone = await diff('cpu-role', '--format', 'html');
    expect(alone.stdout.match(/<section aria-label="Ports">/g)).toHaveLength(1);
    expect(alone.stdout).toContain('https://git.kernel.org/linus/e5ed0fb01004');
    expect(alone.stderr).toContain('the upstream diff is left out');
    expect(alone.code).toBe(0);
  });

  it('shows markup in a diff as text', async () => {
    const repo = join(folder, 'markup');
    git(folder, ['clone', '--quiet', origin, repo]);
    const file = join(repo, 'arch/x86/kvm/<b>x.c');
    writeFileSync(file, '/* <script>alert(1)</script> */\n');
    git(repo, ['add', '.']);
    git(repo, ['commit', '--quiet', '-m', 'KVM: <script>alert(2)</script>']);
    const id = git(repo, ['rev-parse', 'HEAD']).trim();
    const { stdout } = await diff(id, '--repo', repo, '--format', 'html');
    expect(stdout).toContain('&lt;script&gt;alert');
    expect(stdout).not.toContain('<script');
    expect(stdout).not.toContain('<b>x.c');
  });
});

/** Applies the part of a patch that is about one port file, with git. */
function applied(before: string, patch: string, file: string): string {
  const part = patch.split(/(?<=\n)(?=diff --git )/).filter((each) => each.split('\n')[0]!.endsWith(`/${file}`));
  const work = join(folder, 'ports', file);
  mkdirSync(work);
  git(work, ['init', '--quiet']);
  const name = /^--- a\/(.*)$/m.exec(part[0]!)![1]!;
  mkdirSync(join(work, name, '..'), { recursive: true });
  writeFileSync(join(work, name), before);
  git(
    work,
    ['apply', '-p1', '-'],
    part[0]!.replace(/^\+\+\+ b\/.*$/m, `+++ b/${name}`).replace(/^diff --git .*$/m, `diff --git a/${name} b/${name}`),
  );
  return readFileSync(join(work, name), 'utf8');
}
