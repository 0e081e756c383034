// SPDX-License-Identifier: GPL-2.0-only
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { explainGit } from './explain.ts';
import { type GitResult, runGit } from './git.ts';

/** Where the parts of a repository are: clone, worktree, bare repository or mirror. */
export interface Located {
  /** The folder the user named. */
  readonly repo: string;
  /** Refs and configuration, shared by all worktrees. Absolute. */
  readonly commonDir: string;
  /** The object store. Absolute. */
  readonly objects: string;
}

/** Turns off what the configuration of a repository could make git start or write. */
const guarded = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null'];

/**
 * Runs a command that names refs or configuration in the user's repository itself: finding it and resolving names is
 * git's to do, together with its check of the owner. Everything that reads objects runs elsewhere (reader.ts).
 */
export function inRepository(repo: string, args: readonly string[]): Promise<GitResult> {
  if (!statSync(repo, { throwIfNoEntry: false })?.isDirectory()) throw noFolder(repo);
  return runGit({ cwd: repo, args: [...guarded, ...args], userConfig: true });
}

/** Finds the repository that holds a folder. Throws UserError where there is none, or git refuses it. */
export async function locate(repo: string): Promise<Located> {
  const args = ['rev-parse', '--git-common-dir', '--git-path', 'objects', '--show-object-format'];
  const { code, stdout, stderr } = await inRepository(repo, args);
  if (code !== 0) throw explainGit(`--repo ${repo}`, stderr);
  const [commonDir, objects, format] = stdout.toString('utf8').split('\n');
  if (format !== 'sha1') {
    throw new UserError({
      place: `--repo ${repo}`,
      found: `a repository with ${format} ids`,
      expected: 'sha1 ids, as the kernel has',
    });
  }
  return { repo, commonDir: resolve(repo, commonDir!), objects: resolve(repo, objects!) };
}

function noFolder(repo: string): UserError {
  return new UserError({
    place: `--repo ${repo}`,
    found: 'no such folder',
    expected: 'a clone of the kernel',
    suggestion:
      'git clone https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git, or mmu-eras upstream sync',
  });
}
