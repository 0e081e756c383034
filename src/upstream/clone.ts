// SPDX-License-Identifier: GPL-2.0-only
import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { CloneCommits } from './clone-commits.ts';
import { changedFiles, diffOptions, emptyTree, selectedPaths } from './clone-diff.ts';
import { explainGit, isDamage } from './explain.ts';
import { fetchObjectsLine } from './fetch-line.ts';
import type { GitResult } from './git.ts';
import { type Located, locate } from './locate.ts';
import { filterPatch } from './patch.ts';
import { kvmPaths, normalPath } from './paths.ts';
import { makeReader, type Reader } from './reader.ts';
import type { LogRange, UpstreamSource } from './source.ts';
import { type CommitInfo, decodeText } from './text.ts';

/** A command that names more objects than this is for no one to read or paste. */
const objectsInALine = 50;

/** Opens the user's clone, of any kind, or with `synced` our own cache. Throws UserError where git finds none. */
export async function openClone(repo: string, { synced = false } = {}): Promise<CloneSource> {
  const located = await locate(resolve(repo));
  return new CloneSource(located, makeReader(located), synced);
}

/** Reads a clone through git; see `UpstreamSource`. Every command gets full ids and paths. */
export class CloneSource implements UpstreamSource {
  readonly kind = 'clone';
  readonly located: Located;
  readonly reader: Reader;
  readonly #synced: boolean;
  readonly #commits: CloneCommits;

  constructor(located: Located, reader: Reader, synced: boolean) {
    this.located = located;
    this.reader = reader;
    this.#synced = synced;
    this.#commits = new CloneCommits(located, reader, { place: this.describe(), synced });
  }

  describe(): string {
    return this.#synced ? 'the cache of mmu-eras upstream sync' : `clone ${this.located.repo}`;
  }

  async resolve(revision: string): Promise<string | null> {
    return (await this.commitInfo(revision))?.id ?? null;
  }

  async has(revision: string): Promise<boolean> {
    return (await this.commitInfo(revision)) !== null;
  }

  async commitInfo(revision: string): Promise<CommitInfo | null> {
    return await this.#commits.find(revision);
  }

  async readFile(revision: string, path: string): Promise<string | null> {
    const { id } = await this.#commits.get(revision);
    const name = normalPath(path);
    const blob = await this.reader.git(['cat-file', 'blob', `${id}:${name}`]);
    if (blob.code === 0) return decodeText(blob.stdout);
    if (isDamage(blob.stderr)) throw explainGit(this.describe(), blob.stderr);
    const entry = await this.run(['ls-tree', '-z', '--full-tree', id, '--', name]);
    const found = /^\d+ blob ([0-9a-f]{40})\t/.exec(entry.stdout.toString('utf8'));
    if (found) throw await this.missingObjects([found[1]!], `${name} of commit ${id}`);
    return null;
  }

  async listFiles(revision: string, folder: string): Promise<string[]> {
    const { id } = await this.#commits.get(revision);
    const names = ['ls-tree', '-r', '-z', '--full-tree', '--name-only', id, '--', normalPath(folder)];
    return (await this.run(names)).stdout.toString('utf8').split('\0').slice(0, -1);
  }

  async diff(revision: string, paths: readonly string[]): Promise<string> {
    const ends = await this.#ends(revision, paths);
    return await this.#diff(ends.from, ends.to, ends.paths);
  }

  async diffBetween(from: string, to: string, paths: readonly string[]): Promise<string> {
    const [a, b] = [await this.#commits.get(from), await this.#commits.get(to)];
    return await this.#diff(a.id, b.id, paths.length === 0 ? kvmPaths : paths);
  }

  async logL({ from, to, path, lines }: LogRange): Promise<string> {
    const last = (await this.#commits.get(to)).id;
    const range = from === null ? [last] : [`${(await this.#commits.get(from)).id}..${last}`];
    const what = typeof lines === 'string' ? `:${lines}` : lines.join(',');
    this.reader.copyShallow();
    const options = ['--no-color', '--no-show-signature', '--no-ext-diff', '--no-textconv', '--format=commit %H'];
    return decodeText((await this.run(['log', ...options, `-L${what}:${normalPath(path)}`, ...range])).stdout);
  }

  async missing(revision: string): Promise<UserError> {
    return await this.#commits.missing(revision);
  }

  async close(): Promise<void> {
    this.reader.close();
  }

  /** Ids of the blobs at or below the paths in one commit. */
  async textsBelow(id: string, paths: readonly string[]): Promise<string[]> {
    const list = await this.run(['ls-tree', '-r', '-z', '--full-tree', id, '--', ...paths]);
    return [...list.stdout.toString('utf8').matchAll(/(?:^|\0)\d+ blob ([0-9a-f]{40})\t/g)].map((match) => match[1]!);
  }

  /** Ids of the blobs that `diff` of a commit without paths needs. */
  async textsOfDiff(revision: string): Promise<string[]> {
    const { from, to, paths } = await this.#ends(revision, []);
    return (await this.#changes(from, to, paths)).blobs;
  }

  /** What a commit is compared with, and the paths where none were named. */
  async #ends(
    revision: string,
    paths: readonly string[],
  ): Promise<{ from: string; to: string; paths: readonly string[] }> {
    const { id, parents } = await this.#commits.get(revision);
    const from = parents[0] === undefined ? emptyTree : (await this.#commits.get(parents[0], `the parent of ${id}`)).id;
    return { from, to: id, paths: parents.length > 1 && paths.length === 0 ? kvmPaths : paths };
  }

  /** The files that a diff must look at, and their blobs. */
  async #changes(
    from: string,
    to: string,
    wanted: readonly string[],
  ): Promise<{ selected: string[]; blobs: string[] }> {
    const raw = ['diff-tree', '-r', '-z', '--raw', '--no-abbrev', '--no-renames', from, to];
    const changed = changedFiles((await this.run(raw)).stdout.toString('utf8'));
    const selected = selectedPaths(changed, wanted);
    const names = new Set(selected);
    return { selected, blobs: changed.filter(({ path }) => names.has(path)).flatMap((file) => file.blobs) };
  }

  async #diff(from: string, to: string, paths: readonly string[]): Promise<string> {
    const wanted = paths.map(normalPath);
    const { selected, blobs } = await this.#changes(from, to, wanted);
    if (selected.length === 0) return '';
    const absent = await this.absent(blobs);
    if (absent.length > 0) throw await this.missingObjects(absent, `the diff of ${to}`);
    const patch = await this.run(['diff-tree', '-r', '-p', ...diffOptions, from, to, '--', ...selected]);
    return filterPatch(decodeText(patch.stdout), wanted);
  }

  /** Those of the objects that the clone does not have, each once. */
  async absent(ids: readonly string[]): Promise<string[]> {
    const input = [...new Set(ids)].map((id) => `${id}\n`).join('');
    if (input === '') return [];
    const { stdout, stderr } = await this.run(['cat-file', '--batch-check'], input);
    if (isDamage(stderr)) throw explainGit(this.describe(), stderr);
    return [...stdout.toString('utf8').matchAll(/^([0-9a-f]{40}) missing$/gm)].map((match) => match[1]!);
  }

  /** Runs git among the objects of the clone; a failure is the clone's, and explained. */
  async run(args: readonly string[], input?: string): Promise<GitResult> {
    const result = await this.reader.git(args, input);
    if (result.code !== 0) throw explainGit(this.describe(), result.stderr);
    return result;
  }

  /** The error that names missing objects and the command that gets them. `what` is what they are needed for. */
  async missingObjects(ids: readonly string[], what: string): Promise<UserError> {
    return new UserError({
      place: this.describe(),
      found: `${what} needs ${ids.length === 1 ? `object ${ids[0]}` : `${ids.length} objects, ${ids[0]} the first,`} which is not there`,
      expected: 'the objects: this may be a partial clone, and nothing is fetched into it unasked',
      suggestion:
        this.#synced || ids.length > objectsInALine
          ? 'mmu-eras upstream sync, which fetches what the facts need'
          : await fetchObjectsLine(this.located, ids),
    });
  }
}
