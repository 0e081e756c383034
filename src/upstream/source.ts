// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { cacheRepository } from './cache.ts';
import type { CommitInfo } from './text.ts';

/**
 * Where upstream C text and commits are read from: the user's clone, the synced cache, or a capsule. All read only.
 * A revision is a commit id of 7 or more digits, a tag or branch, each with `^` or `~N` at will (`e5ed0fb0^`, `v5.17`).
 * Paths are relative to the top of the tree. A revision, or an object, that is not there is a UserError that says which
 * and how to get it; only the methods that say `null` answer without.
 */
export interface UpstreamSource {
  readonly kind: 'clone' | 'capsule';
  /** For people: `clone /home/me/linux`. */
  describe(): string;
  /** Full id of a revision; null when the source does not have that commit. */
  resolve(revision: string): Promise<string | null>;
  /** Whether the source has that commit. */
  has(revision: string): Promise<boolean>;
  /** null when the source does not have that commit. */
  commitInfo(revision: string): Promise<CommitInfo | null>;
  /** Text of one file; null when that commit has no such file. */
  readFile(revision: string, path: string): Promise<string | null>;
  /** Paths of all files below a folder, in the order of the tree; empty when that commit has no such folder. */
  listFiles(revision: string, folder: string): Promise<string[]>;
  /**
   * Unified diff, as git writes it, of a commit against its first parent: the files whose old or new path is one of
   * `paths` or lies below one. Without paths every file of the commit; of a merge the KVM ones (src/upstream/paths.ts).
   */
  diff(revision: string, paths: readonly string[]): Promise<string>;
  /** Unified diff between two revisions; without paths the KVM files. A capsule has it only from a commit's first parent. */
  diffBetween(from: string, to: string, paths: readonly string[]): Promise<string>;
  /**
   * `git log -L` of one function (`:kvm_calc_cpu_role:PATH` needs no line numbers) or line range (`10,20`), newest first:
   * commits `from..to`, each `commit <id>` and its hunks. Capsules have no such history, hence the `?`.
   */
  logL?(range: LogRange): Promise<string>;
  /** The error that names a missing commit and the command that gets it. */
  missing(revision: string): Promise<UserError>;
  /** Removes what the source keeps outside the clone; the source cannot be used afterwards. */
  close(): Promise<void>;
}

/** What `git log -L` is asked. */
export interface LogRange {
  /** Commits reachable from it are left out; null goes back to the first. */
  readonly from: string | null;
  readonly to: string;
  readonly path: string;
  /** A function's name, or first and last line in the text at `to`. */
  readonly lines: string | readonly [number, number];
}

/** What the user named on the command line. */
export interface SourceOptions {
  readonly repo?: string | undefined;
  readonly capsule?: string | undefined;
}

/**
 * Opens the clone or capsule that the options name, else the cache that `mmu-eras upstream sync` filled; null when there is
 * none of the three. Throws UserError for both options at once, and for a folder or file that is not what it should be.
 */
export async function openSource(options: SourceOptions): Promise<UpstreamSource | null> {
  const { repo, capsule } = options;
  if (repo !== undefined && capsule !== undefined) {
    throw new UserError({
      place: '--repo and --capsule',
      found: 'both',
      expected: 'one source: a clone, or a capsule',
    });
  }
  if (capsule !== undefined) return (await import('./capsule.ts')).openCapsule(capsule);
  if (repo !== undefined) return (await import('./clone.ts')).openClone(repo);
  const cache = cacheRepository();
  return existsSync(cache) ? (await import('./clone.ts')).openClone(cache, { synced: true }) : null;
}
