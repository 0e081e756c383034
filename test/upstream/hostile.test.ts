// SPDX-License-Identifier: GPL-2.0-only
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClone } from '../../src/upstream/clone.ts';
import { buildFixture, paths } from './fixture.ts';
import { git } from './repository.ts';
import { fingerprint, mistakeFrom, scratch, suggestionIn } from './scratch.ts';

/** A clone whose configuration, or an environment that, wants programs run or other objects read. */

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
const trap = join(folder, 'trap');
const marker = join(folder, 'trapped');
const saved = { ...process.env };
let ids: Record<string, string>;
/** What the clone without traps answers. */
let expected: string;

beforeAll(async () => {
  ids = buildFixture(origin);
  expected = await answers(origin);
  writeFileSync(trap, `#!/bin/sh\necho "$0 $*" >> '${marker}'\ncat\nexit 0\n`);
  chmodSync(trap, 0o755);
});
afterEach(() => {
  rmSync(marker, { force: true });
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
});
afterAll(remove);

/** A clone that names the trap wherever git could start a program. */
function hostileClone(name: string, ...options: string[]): string {
  git(folder, ['clone', '--quiet', ...options, pathToFileURL(origin).href, name]);
  const repo = join(folder, name);
  const hooks = join(repo, '.git', 'hooks');
  mkdirSync(hooks, { recursive: true });
  for (const hook of ['post-checkout', 'reference-transaction', 'post-index-change', 'fsmonitor-watchman']) {
    writeFileSync(join(hooks, hook), `#!/bin/sh\nexec '${trap}' ${hook}\n`);
    chmodSync(join(hooks, hook), 0o755);
  }
  const command = `'${trap}'`;
  const included = join(repo, '.git', 'more');
  writeFileSync(included, `[diff "cpp"]\n\ttextconv = "${command}"\n`);
  const settings: Record<string, string> = {
    'core.fsmonitor': trap,
    'core.hooksPath': hooks,
    'core.pager': command,
    'core.editor': command,
    'core.sshCommand': command,
    'core.gitProxy': trap,
    'core.alternateRefsCommand': command,
    'core.askPass': trap,
    'credential.helper': `!${command}`,
    'diff.external': command,
    'diff.trap.command': command,
    'diff.trap.textconv': command,
    'filter.trap.smudge': command,
    'filter.trap.clean': command,
    'gpg.program': trap,
    'log.showSignature': 'true',
    'pager.log': command,
    'pager.diff-tree': command,
    'interactive.diffFilter': command,
    'remote.origin.uploadpack': command,
    'remote.origin.vcs': 'trap',
    'include.path': included,
    'diff.noprefix': 'true',
    'diff.context': '0',
    'color.ui': 'always',
    'log.follow': 'true',
  };
  writeFileSync(join(repo, '.git', 'info', 'attributes'), '* diff=trap filter=trap\n');
  for (const [key, value] of Object.entries(settings)) git(repo, ['config', key, value]);
  return repo;
}

/** Everything a source is asked, as one text. */
async function answers(repo: string): Promise<string> {
  const source = await openClone(repo);
  try {
    return [
      await source.readFile('v5.17', paths.mmu),
      await source.diff(ids['cpu-role']!, []),
      await source.diffBetween(ids.wp!, 'v5.17', []),
      await source.logL({ from: ids.first!, to: 'main', path: paths.mmu, lines: [17, 25] }),
      JSON.stringify(await source.commitInfo('main')),
      (await source.missing('v9.9')).mistake.expected,
    ].join('\n');
  } finally {
    await source.close();
  }
}

describe('a clone with traps in its configuration', () => {
  it('runs none of them, and reads as any other', async () => {
    const repo = hostileClone('hostile');
    const before = fingerprint(repo);
    expect(await answers(repo)).toBe(expected);
    expect(existsSync(marker)).toBe(false);
    expect(fingerprint(repo)).toBe(before);
    // The traps do work: git itself falls into them.
    git(repo, ['show', '--ext-diff', '--textconv', ids['cpu-role']!]);
    expect(existsSync(marker)).toBe(true);
  });

  it('does not even ask the remote of a partial clone', async () => {
    const repo = hostileClone('hostile partial', '--filter=blob:none', '--no-checkout');
    const before = fingerprint(repo);
    const source = await openClone(repo);
    expect(await mistakeFrom(source.diff(ids['cpu-role']!, []))).toContain('partial clone');
    expect(await mistakeFrom(source.readFile('v5.17', paths.mmu))).toContain('partial clone');
    await source.close();
    expect(existsSync(marker)).toBe(false);
    expect(fingerprint(repo)).toBe(before);
  });

  it('takes an id for what it says, whatever was replaced or grafted', async () => {
    git(folder, ['clone', '--quiet', origin, 'replaced']);
    const repo = join(folder, 'replaced');
    git(repo, ['replace', ids['cpu-role']!, ids.first!]);
    git(repo, [
      'replace',
      git(repo, ['rev-parse', `v5.17:${paths.mmu}`]).trim(),
      git(repo, ['rev-parse', `v5.17:${paths.x86}`]).trim(),
    ]);
    writeFileSync(join(repo, '.git', 'info', 'grafts'), `${ids['cpu-role']} ${ids.first}\n`);
    expect(await answers(repo)).toBe(expected);
  });
});

describe('an environment with variables of git', () => {
  it('changes nothing', async () => {
    const other = join(folder, 'other');
    git(folder, ['init', '--quiet', other]);
    Object.assign(process.env, {
      GIT_DIR: join(other, '.git'),
      GIT_WORK_TREE: other,
      GIT_COMMON_DIR: join(other, '.git'),
      GIT_OBJECT_DIRECTORY: join(other, '.git', 'objects'),
      GIT_ALTERNATE_OBJECT_DIRECTORIES: other,
      GIT_INDEX_FILE: marker,
      GIT_NAMESPACE: 'elsewhere',
      GIT_EXTERNAL_DIFF: trap,
      GIT_DIFF_OPTS: '--unified=0',
      GIT_PAGER: trap,
      PAGER: trap,
      EDITOR: trap,
      GIT_SSH_COMMAND: trap,
      GIT_ASKPASS: trap,
      GIT_EXEC_PATH: folder,
      GIT_TRACE: marker,
      GIT_TRACE2: marker,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'diff.external',
      GIT_CONFIG_VALUE_0: trap,
      GIT_CONFIG_PARAMETERS: `'diff.external=${trap}'`,
      GIT_CEILING_DIRECTORIES: folder,
      GIT_NO_REPLACE_OBJECTS: '',
      GIT_SHALLOW_FILE: marker,
      GIT_GRAFT_FILE: marker,
      GIT_REPLACE_REF_BASE: 'refs/heads/',
      LC_ALL: 'de_DE.UTF-8',
    });
    expect(await answers(origin)).toBe(expected);
    expect(existsSync(marker)).toBe(false);
    expect(readdirSync(join(other, '.git', 'objects')).sort()).toEqual(['info', 'pack']);
  });
});

it("explains git's refusal of a repository that belongs to someone else", async () => {
  // A git in front of the real one that takes every repository for a stranger's, as git's own tests do.
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const real = (process.env.PATH ?? '').split(':').find((each) => existsSync(join(each, 'git')))!;
  writeFileSync(join(bin, 'git'), `#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec '${real}/git' "$@"\n`);
  chmodSync(join(bin, 'git'), 0o755);
  const home = join(folder, 'home');
  mkdirSync(home);
  Object.assign(process.env, { PATH: `${bin}:${process.env.PATH}`, HOME: home });
  delete process.env.XDG_CONFIG_HOME;
  const message = await mistakeFrom(openClone(origin));
  expect(message).toContain('detected dubious ownership in repository at');
  expect(message).toContain('safe.directory');
  expect(suggestionIn(message)).toBe(`git config --global --add safe.directory '${origin}'`);
  writeFileSync(join(home, '.gitconfig'), `[safe]\n\tdirectory = ${origin}\n`);
  const source = await openClone(origin);
  expect(await source.resolve('v5.17')).toBe(ids.release);
  await source.close();
});
