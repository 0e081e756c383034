// SPDX-License-Identifier: GPL-2.0-only
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { transformSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClone } from '../../src/upstream/clone.ts';
import { buildFixture, fixtureCommits, paths } from './fixture.ts';
import { git, gitEnvironment } from './repository.ts';
import { fingerprint, mistakeFrom, scratch, suggestionIn } from './scratch.ts';

/** Clones as people have them, each read without a byte of it changed. */

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
const url = pathToFileURL(origin).href;
let ids: Record<string, string>;
const at = (name: string): string => join(folder, name);
const clone = (...args: string[]): string => git(folder, ['clone', '--quiet', ...args]);

/** How each kind is made; all of them have every object. */
const complete: Record<string, () => string> = {
  full: () => {
    clone(url, 'full');
    return at('full');
  },
  'full, from a folder below': () => {
    clone(url, 'below');
    return join(at('below'), 'arch', 'x86');
  },
  worktree: () => {
    clone(url, 'main');
    git(at('main'), ['worktree', 'add', '--quiet', at('linked'), 'v5.17']);
    return at('linked');
  },
  alternates: () => {
    clone('--shared', origin, 'sharing');
    return at('sharing');
  },
  'alternates of alternates': () => {
    clone('--shared', origin, 'first hand');
    clone('--shared', at('first hand'), 'second hand');
    return at('second hand');
  },
  bare: () => {
    clone('--bare', url, 'bare.git');
    return at('bare.git');
  },
  mirror: () => {
    clone('--mirror', url, 'mirror.git');
    return at('mirror.git');
  },
  'packed with an index of packs and a commit-graph': () => {
    clone(url, 'packed');
    git(at('packed'), ['repack', '-q', '-a', '-d', '--write-midx']);
    git(at('packed'), ['commit-graph', 'write', '--reachable']);
    return at('packed');
  },
};

beforeAll(() => {
  ids = buildFixture(origin);
});
afterAll(remove);

/** The diff of the commit `wp`, worked out by hand from the two versions of the fixture; ids left out. */
const wpDiff = `diff --git a/arch/x86/include/asm/kvm_host.h b/arch/x86/include/asm/kvm_host.h
--- a/arch/x86/include/asm/kvm_host.h
+++ b/arch/x86/include/asm/kvm_host.h
@@ -9,6 +9,7 @@ union kvm_mmu_page_role {
 		unsigned direct:1;
 		unsigned access:3;
 		unsigned invalid:1;
+		unsigned cr0_wp:1;
 	};
 };
 
diff --git a/arch/x86/kvm/mmu.c b/arch/x86/kvm/mmu.c
--- a/arch/x86/kvm/mmu.c
+++ b/arch/x86/kvm/mmu.c
@@ -20,6 +20,7 @@ kvm_calc_base_role(struct kvm_vcpu *vcpu)
 
 	role.level = vcpu->level;
 	role.access = 7;
+	role.cr0_wp = vcpu->wp;
 
 	return role;
 }
`;

describe.each(Object.keys(complete))('a clone: %s', (kind) => {
  it('gives commits, texts and diffs, and stays as it is', async () => {
    const repo = complete[kind]!();
    const before = fingerprint(folder);
    const source = await openClone(repo);
    try {
      expect(await source.commitInfo(ids.wp!)).toEqual({
        id: ids.wp,
        parents: [ids.first],
        author: 'Jürgen Groß',
        authorEmail: 'juergen@example.org',
        authorDate: '2010-03-01T08:30:00-03:30',
        subject: 'KVM: MMU: CR0.WP joins the role',
      });
      expect(await source.resolve('v5.17~3')).toBe(ids.left);
      const { files } = fixtureCommits.find(({ name }) => name === 'topic')!;
      expect(await source.readFile(ids.topic!, paths.spaced)).toBe(files[paths.spaced]);
      expect(await source.listFiles(ids.move!, 'arch/x86/kvm/')).toEqual([paths.mmu, paths.x86]);
      expect((await source.diff(ids.wp!, [])).replace(/^index .*\n/gm, '')).toBe(wpDiff);
      const log = await source.logL({ from: null, to: 'v5.17', path: paths.mmu, lines: 'kvm_calc_base_role' });
      expect(log.match(/^commit .*$/gm)).toEqual([`commit ${ids.wp}`, `commit ${ids.first}`]);
    } finally {
      await source.close();
    }
    expect(fingerprint(folder)).toBe(before);
  });
});

it('revisions, paths, moves, merges and first commits', async () => {
  const source = await openClone(origin);
  try {
    expect(await source.resolve('v5.17')).toBe(ids.release);
    expect(await source.resolve('v5.17^^')).toBe(ids.merge);
    expect(await source.resolve(`${ids.wp!.slice(0, 8)}^`)).toBe(ids.first);
    expect(await source.has('v5.18')).toBe(false);
    expect(await source.readFile(ids.move!, paths.oldMmu)).toBeNull();
    expect(await source.readFile(ids.move!, 'arch/x86/kvm')).toBeNull();
    expect(await source.diff(ids.move!, [paths.oldMmu])).toBe(
      [
        `diff --git a/${paths.oldMmu} b/${paths.mmu}`,
        'similarity index 100%',
        `rename from ${paths.oldMmu}`,
        `rename to ${paths.mmu}`,
        '',
      ].join('\n'),
    );
    // The merge brought fs/other.c too, which is not KVM's.
    expect((await source.diff(ids.merge!, [])).match(/^diff .*$/gm)).toEqual([
      `diff --git a/${paths.spaced} b/${paths.spaced}`,
    ]);
    expect(await source.diff(ids.merge!, [paths.other])).toContain('+int other;');
    expect(await source.diff(ids.release!, [paths.mmu])).toBe('');
    expect(await source.diff(ids.first!, ['MAINTAINERS'])).toContain('new file mode 100644');
    expect(await source.diffBetween(ids.wp!, 'v5.17', [paths.x86])).toContain('-/* first */\n+/* left */\n');
  } finally {
    await source.close();
  }
});

/** Runs the command of a message as a user would, in a shell. */
const obey = (message: string): void => {
  const environment = { ...gitEnvironment() };
  execFileSync('sh', ['-c', suggestionIn(message)], {
    cwd: '/',
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
};

it('a commit that is not in a full clone is named, and the fetch line gets it', async () => {
  clone('--single-branch', '--branch', 'v5.17', '--no-tags', url, 'behind');
  const source = await openClone(at('behind'));
  const message = await mistakeFrom(source.diff(ids['cpu-role']!, []));
  expect(message).toContain(`no commit ${ids['cpu-role']}`);
  expect(suggestionIn(message)).toBe(`git -C '${at('behind')}' fetch origin ${ids['cpu-role']}`);
  obey(message);
  expect(await source.diff(ids['cpu-role']!, [paths.mmu])).toContain('+\trole.smm = vcpu->smm;');
  await source.close();
  expect(existsSync(join(at('behind'), '.git', 'shallow'))).toBe(false);
});

it('a tag that is not there is fetched as a tag', async () => {
  clone('--single-branch', '--branch', 'main', '--no-tags', url, 'tagless');
  const source = await openClone(at('tagless'));
  const message = await mistakeFrom(source.readFile('v5.17', paths.mmu));
  expect(suggestionIn(message)).toBe(`git -C '${at('tagless')}' fetch origin tag v5.17`);
  obey(message);
  expect(await source.readFile('v5.17', paths.mmu)).toContain('kvm_calc_base_role');
  await source.close();
});

it('a shallow clone names a missing commit, then a missing parent, and stays shallow', async () => {
  clone('--depth=1', url, 'shallow');
  const repo = at('shallow');
  const before = fingerprint(repo);
  const source = await openClone(repo);
  expect(await source.commitInfo(ids.last!)).toMatchObject({ id: ids.last, parents: [ids['merge-topic']] });
  const noParent = await mistakeFrom(source.diff(ids.last!, []));
  expect(noParent).toContain(`no commit ${ids['merge-topic']}, the parent of ${ids.last}`);
  const noCommit = await mistakeFrom(source.diff(ids.wp!, []));
  expect(suggestionIn(noCommit)).toBe(`git -C '${repo}' fetch --depth=2 origin ${ids.wp}`);
  expect(fingerprint(repo)).toBe(before);
  obey(noParent);
  obey(noCommit);
  expect(await source.diff(ids.last!, [])).toContain('-static int count_steps(int steps)');
  expect((await source.diff(ids.wp!, [])).replace(/^index .*\n/gm, '')).toBe(wpDiff);
  await source.close();
  expect(existsSync(join(repo, '.git', 'shallow'))).toBe(true);
  expect(git(repo, ['rev-list', '--all', '--count']).trim()).not.toBe(String(fixtureCommits.length));
});

it('a log in a shallow clone ends where its history does', async () => {
  clone('--depth=3', url, 'short');
  const source = await openClone(at('short'));
  const log = await source.logL({ from: null, to: 'main', path: paths.mmu, lines: 'kvm_calc_cpu_role' });
  expect(log.match(/^commit .*$/gm)?.length).toBeGreaterThan(0);
  await source.close();
});

it('a partial clone is not filled unasked; the fetch line brings exactly the missing texts', async () => {
  clone('--filter=blob:none', '--no-checkout', url, 'partial');
  const repo = at('partial');
  const before = fingerprint(repo);
  const source = await openClone(repo);
  expect(await source.commitInfo('v5.17')).toMatchObject({ id: ids.release });
  expect(await source.listFiles('v5.17', 'arch/x86/kvm')).toEqual([paths.mmu, paths.x86]);
  expect(await source.diff(ids.release!, [paths.mmu])).toBe('');
  const noText = await mistakeFrom(source.readFile('v5.17', paths.mmu));
  expect(noText).toContain(`${paths.mmu} of commit ${ids.release}`);
  const noDiff = await mistakeFrom(source.diff(ids.wp!, []));
  expect(noDiff).toContain('needs 4 objects');
  expect(fingerprint(repo)).toBe(before);
  obey(noDiff);
  expect((await source.diff(ids.wp!, [])).replace(/^index .*\n/gm, '')).toBe(wpDiff);
  // A text of the tip, which a server takes for known to whoever has that commit.
  const noTip = await mistakeFrom(source.readFile('main', paths.mmu));
  expect(noTip).toContain('not there');
  obey(noTip);
  expect(await source.readFile('main', paths.mmu)).toContain('kvm_calc_cpu_role');
  await source.close();
});

it('a folder that is no clone, and a clone without remotes', async () => {
  mkdirSync(at('nothing'));
  writeFileSync(join(at('nothing'), 'file'), '');
  const ceiling = process.env.GIT_CEILING_DIRECTORIES;
  expect(ceiling).toBeUndefined();
  expect(await mistakeFrom(openClone(at('nothing')))).toContain('not a git repository');
  expect(await mistakeFrom(openClone(at('absent')))).toContain('no such folder');
  expect(await mistakeFrom(openClone(join(at('nothing'), 'file')))).toContain('no such folder');
  git(folder, ['init', '--quiet', 'lonely']);
  const source = await openClone(at('lonely'));
  expect(suggestionIn(await mistakeFrom(source.diff('v5.17', [])))).toBe(
    `git -C '${at('lonely')}' fetch https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git tag v5.17`,
  );
  await source.close();
});

it('leaves no temporary folder behind', async () => {
  const { TMPDIR } = process.env;
  process.env.TMPDIR = at('temporary');
  mkdirSync(at('temporary'));
  try {
    const source = await openClone(origin);
    expect(readdirSync(at('temporary'))).toHaveLength(1);
    await source.close();
    expect(readdirSync(at('temporary'))).toEqual([]);
    // A process that ends in the middle, by itself or by a signal, leaves none either.
    const module = readFileSync(new URL('../../src/upstream/temporary.ts', import.meta.url), 'utf8');
    const { code } = transformSync(module, { loader: 'ts' });
    for (const [end, status, signal] of [
      ['process.exit(3)', 3, null],
      ['process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000)', null, 'SIGTERM'],
    ]) {
      const script = `${code}; process.stdout.write(temporaryFolder()); ${end};`;
      const ended = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      expect(ended.stdout).toContain(at('temporary'));
      expect([ended.status, ended.signal]).toEqual([status, signal]);
      expect(readdirSync(at('temporary'))).toEqual([]);
    }
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
});

it('the fixture itself has the shapes it promises', () => {
  expect(git(origin, ['log', '--merges', '--format=%s']).trim().split('\n')).toHaveLength(2);
  expect(readFileSync(join(origin, paths.mmu), 'utf8')).toContain('kvm_calc_cpu_role');
});
