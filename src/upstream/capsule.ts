// SPDX-License-Identifier: GPL-2.0-only
import { basename } from 'node:path';
import git from 'isomorphic-git';
import { UserError } from '../errors.ts';
import { type CapsuleFile, type CapsuleHeader, readCapsule } from './capsule-file.ts';
import { memoryFiles } from './memory-files.ts';
import { filterPatch } from './patch.ts';
import { isBelow, kvmPaths, normalPath } from './paths.ts';
import { parseRevision, walkBack } from './revision.ts';
import type { UpstreamSource } from './source.ts';
import { type CommitInfo, decodeText, parseCommit } from './text.ts';

/** Opens a capsule: one file with the commits and texts that `mmu-eras upstream pack` took from a clone. */
export function openCapsule(file: string): UpstreamSource {
  return new CapsuleSource(file, readCapsule(file));
}

const gitdir = '/capsule';

/** Reads a capsule through isomorphic-git, without git, network or temporary files; see `UpstreamSource`. */
class CapsuleSource implements UpstreamSource {
  readonly kind = 'capsule';
  readonly #name: string;
  readonly #header: CapsuleHeader;
  /** What every call of isomorphic-git gets. `cache` holds the parsed pack. */
  readonly #store: { fs: ReturnType<typeof memoryFiles>; gitdir: string; cache: object };

  constructor(file: string, { header, index, pack }: CapsuleFile) {
    this.#name = basename(file);
    this.#header = header;
    const name = `${gitdir}/objects/pack/pack-${header.sha256.slice(0, 40)}`;
    const files = new Map([
      [`${name}.idx`, index],
      [`${name}.pack`, pack],
    ]);
    this.#store = { fs: memoryFiles(files), gitdir, cache: {} };
  }

  describe(): string {
    return `capsule ${this.#name}`;
  }

  async resolve(revision: string): Promise<string | null> {
    const { base, isId, steps } = parseRevision(revision);
    const ids = isId ? Object.keys(this.#header.commits).filter((id) => id.startsWith(base)) : [];
    if (ids.length > 1) {
      throw new UserError({
        place: this.describe(),
        found: `${base} is the beginning of several commits`,
        expected: 'more digits',
      });
    }
    const start = ids[0] ?? this.#header.tags[base];
    if (start === undefined) return null;
    const id = await walkBack(start, steps, async (at) =>
      this.#contains(at) ? (await this.#commit(at)).parents : null,
    );
    return id !== null && this.#contains(id) ? id : null;
  }

  async has(revision: string): Promise<boolean> {
    return (await this.resolve(revision)) !== null;
  }

  async commitInfo(revision: string): Promise<CommitInfo | null> {
    const id = await this.resolve(revision);
    return id === null ? null : await this.#commit(id);
  }

  async readFile(revision: string, path: string): Promise<string | null> {
    const oid = await this.#present(revision);
    const filepath = this.#covered(path);
    const blob = await this.#read(() => git.readBlob({ ...this.#store, oid, filepath }));
    return blob && decodeText(blob.blob);
  }

  async listFiles(revision: string, folder: string): Promise<string[]> {
    const oid = await this.#present(revision);
    return await this.#filesBelow(oid, this.#covered(folder));
  }

  async diff(revision: string, paths: readonly string[]): Promise<string> {
    const id = await this.#present(revision);
    const patch = this.#header.commits[id];
    if (!patch) {
      const parent = (await this.#commit(id)).parents[0] ?? 'none';
      throw new UserError({
        place: this.describe(),
        found: `commit ${id} is there as the parent of another commit; its own parent ${parent} is not`,
        expected: 'a commit whose diff is in the capsule',
        suggestion: `mmu-eras upstream pack --also ${id}, from a clone`,
      });
    }
    return filterPatch(await this.#text(patch), paths.map(normalPath));
  }

  async diffBetween(from: string, to: string, paths: readonly string[]): Promise<string> {
    const [a, b] = [await this.#present(from), await this.#present(to)];
    const wanted = paths.length === 0 ? kvmPaths : paths.map(normalPath);
    const range = this.#header.ranges[`${a}..${b}`];
    if (range !== undefined) return filterPatch(await this.#text(range), wanted);
    if ((await this.#commit(b)).parents[0] === a) return await this.diff(b, wanted);
    throw new UserError({
      place: this.describe(),
      found: `no diff from ${a} to ${b}`,
      expected: 'a commit and its parent, or the releases of two eras that follow each other',
      suggestion: '--repo, with a clone that has both',
    });
  }

  async missing(revision: string): Promise<UserError> {
    return new UserError({
      place: this.describe(),
      found: `no commit ${revision}`,
      expected: `one of the ${Object.keys(this.#header.commits).length} commits in it`,
      suggestion: `mmu-eras upstream pack --also ${revision}, from a clone that has it`,
    });
  }

  async close(): Promise<void> {}

  #contains(id: string): boolean {
    return Object.hasOwn(this.#header.commits, id);
  }

  async #present(revision: string): Promise<string> {
    const id = await this.resolve(revision);
    if (id === null) throw await this.missing(revision);
    return id;
  }

  /** The path, when the capsule has its texts: elsewhere "no such file" would be a guess. */
  #covered(path: string): string {
    const name = normalPath(path);
    if (isBelow(name, this.#header.paths)) return name;
    throw new UserError({
      place: this.describe(),
      found: `nothing about ${path}`,
      expected: `a path at or below one of ${this.#header.paths.join(', ')}`,
      suggestion: '--repo, with a clone',
    });
  }

  async #commit(id: string): Promise<CommitInfo> {
    const object = await git.readObject({ ...this.#store, oid: id, format: 'content' });
    return parseCommit(id, object.object as Uint8Array);
  }

  async #text(blob: string): Promise<string> {
    return decodeText((await git.readBlob({ ...this.#store, oid: blob })).blob);
  }

  async #filesBelow(oid: string, filepath: string): Promise<string[]> {
    const found = await this.#read(() => git.readTree({ ...this.#store, oid, filepath }));
    if (!found) return [];
    const files: string[] = [];
    for (const { type, path } of found.tree) {
      const below = `${filepath}/${path}`;
      if (type === 'tree') files.push(...(await this.#filesBelow(oid, below)));
      else files.push(below);
    }
    return files;
  }

  /** null for a path that the commit does not have, or that is not a file (a folder) there. */
  async #read<T>(call: () => Promise<T>): Promise<T | null> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof git.Errors.NotFoundError || error instanceof git.Errors.ObjectTypeError) return null;
      throw error;
    }
  }
}
