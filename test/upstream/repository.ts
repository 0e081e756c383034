// SPDX-License-Identifier: GPL-2.0-only
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One commit of a repository made for tests. */
export interface FixtureCommit {
  /** What tests call it, and other commits name it by as parent. */
  readonly name: string;
  /** Names of earlier commits, the first parent first; the commit before in the list when not given. */
  readonly parents?: readonly string[];
  readonly author: string;
  /** Seconds since 1970 and zone, e.g. `1650000000 -0400`. */
  readonly date: string;
  readonly message: string;
  /** Whole new text of each changed file; null deletes it. */
  readonly files: Readonly<Record<string, string | null>>;
  readonly renames?: readonly (readonly [from: string, to: string])[];
  /** An annotated tag on it. */
  readonly tag?: string;
}

/** The environment for git in tests: no configuration of this machine, fixed identity, whatever GIT_* is set outside. */
export const gitEnvironment = (): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name.startsWith('GIT_') ? [] : [[name, value]],
    ),
  ),
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Fixture',
  GIT_AUTHOR_EMAIL: 'fixture@example.org',
  GIT_AUTHOR_DATE: '1600000000 +0000',
  GIT_COMMITTER_NAME: 'Fixture',
  GIT_COMMITTER_EMAIL: 'fixture@example.org',
  GIT_COMMITTER_DATE: '1600000000 +0000',
  GIT_ALLOW_PROTOCOL: 'file',
});

/** Runs git in a folder and gives its standard output; throws with its message when it fails. */
export const git = (folder: string, args: readonly string[], input?: string | Buffer): string =>
  execFileSync('git', args, {
    cwd: folder,
    env: gitEnvironment(),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(input === undefined ? {} : { input }),
  });

/**
 * Makes a repository with a work tree on branch main at the last commit, and lets it serve any object to partial and shallow
 * fetches, as git.kernel.org does. Same commits, same ids. Gives the full id of each commit by name.
 */
export function buildRepository(folder: string, commits: readonly FixtureCommit[]): Record<string, string> {
  mkdirSync(folder, { recursive: true });
  git(folder, ['init', '--quiet', '--initial-branch=main', '.']);
  for (const key of ['uploadpack.allowFilter', 'uploadpack.allowAnySHA1InWant']) git(folder, ['config', key, 'true']);
  const marks = join(folder, '.git', 'fixture-marks');
  git(folder, ['fast-import', '--quiet', '--force', `--export-marks=${marks}`], fastImport(commits));
  git(folder, ['reset', '--quiet', '--hard', 'main']);
  const ids = new Map(
    readFileSync(marks, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.slice(1).split(' ') as [string, string]),
  );
  return Object.fromEntries(commits.map(({ name }, index) => [name, ids.get(String(index + 1))!]));
}

/** The stream of `git fast-import`. Every commit moves main, so that the last one is its tip. */
function fastImport(commits: readonly FixtureCommit[]): string {
  const markOf = (name: string): string => {
    const at = commits.findIndex((commit) => commit.name === name);
    if (at < 0) throw new Error(`no commit named ${name}`);
    return `:${at + 1}`;
  };
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  return commits
    .map((commit, index) => {
      const parents = commit.parents ?? (index === 0 ? [] : [commits[index - 1]!.name]);
      const lines = [
        // Without the reset, a commit without `from` would go on from the tip.
        'reset refs/heads/main\n',
        'commit refs/heads/main\n',
        `mark :${index + 1}\n`,
        `author ${commit.author} ${commit.date}\n`,
        `committer ${commit.author} ${commit.date}\n`,
        data(commit.message),
        ...parents.map((name, at) => `${at === 0 ? 'from' : 'merge'} ${markOf(name)}\n`),
        ...(commit.renames ?? []).map(([from, to]) => `R ${quoted(from)} ${quoted(to)}\n`),
        ...Object.entries(commit.files).map(([path, text]) =>
          text === null ? `D ${path}\n` : `M 100644 inline ${path}\n${data(text)}`,
        ),
        '\n',
      ];
      if (commit.tag) {
        lines.push(`tag ${commit.tag}\n`, `from :${index + 1}\n`, `tagger ${commit.author} ${commit.date}\n`);
        lines.push(data(`Linux ${commit.tag.slice(1)}\n`));
      }
      return lines.join('');
    })
    .join('');
}

const quoted = (path: string): string => `"${path}"`;
