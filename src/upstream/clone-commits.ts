// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { explainGit, isDamage } from './explain.ts';
import { fetchCommitLine } from './fetch-line.ts';
import { inRepository, type Located } from './locate.ts';
import type { Reader } from './reader.ts';
import { parseRevision, walkBack } from './revision.ts';
import { type CommitInfo, parseCommit } from './text.ts';

/** Finds commits of a clone by revision, and reads what their objects say. */
export class CloneCommits {
  readonly #located: Located;
  readonly #reader: Reader;
  /** What messages call the clone. */
  readonly #place: string;
  readonly #synced: boolean;
  readonly #commits = new Map<string, CommitInfo>();
  /** Names once resolved stay, so that a branch that moves meanwhile does not mix two states. */
  readonly #names = new Map<string, string>();

  constructor(located: Located, reader: Reader, { place, synced }: { place: string; synced: boolean }) {
    this.#located = located;
    this.#reader = reader;
    this.#place = place;
    this.#synced = synced;
  }

  /** null when the clone does not have that commit. */
  async find(revision: string): Promise<CommitInfo | null> {
    const { base, isId, steps } = parseRevision(revision);
    const start = (isId ? await this.#commit(base) : null) ?? (await this.#named(base));
    if (!start) return null;
    const parentsOf = async (id: string) => (await this.#commit(id))?.parents ?? null;
    const id = await walkBack(start.id, steps, parentsOf);
    return id === null ? null : await this.#commit(id);
  }

  /** The commit, or the error that names it. `what` says why a commit is needed that the user did not name. */
  async get(revision: string, what = ''): Promise<CommitInfo> {
    const info = await this.find(revision);
    if (!info) throw await this.missing(revision, what);
    return info;
  }

  /** The error that names a missing commit and the command that gets it. */
  async missing(revision: string, what = ''): Promise<UserError> {
    const { base, steps } = parseRevision(revision);
    const at = steps > 0 ? await this.find(base) : null;
    return new UserError({
      place: this.#place,
      found: `no commit ${revision}${what === '' ? '' : `, ${what}`}${at && base !== at.id ? ` (${base} is ${at.id})` : ''}`,
      expected: 'a clone that has it',
      suggestion: this.#synced
        ? `mmu-eras upstream sync --also ${base}`
        : await fetchCommitLine(this.#located, revision),
    });
  }

  async #commit(id: string): Promise<CommitInfo | null> {
    const known = this.#commits.get(id);
    if (known) return known;
    const { code, stdout, stderr } = await this.#reader.git(['cat-file', '--batch'], `${id}^{commit}\n`);
    const end = stdout.indexOf('\n');
    const head = stdout.subarray(0, end).toString('utf8');
    const found = /^([0-9a-f]{40}) commit (\d+)$/.exec(head);
    if (!found) {
      if (head.endsWith(' ambiguous') || /is ambiguous/.test(stderr)) throw this.#ambiguous(id);
      if (isDamage(stderr) || (code !== 0 && stderr !== '')) throw explainGit(this.#place, stderr);
      return null;
    }
    const info = parseCommit(found[1]!, stdout.subarray(end + 1, end + 1 + Number(found[2])));
    this.#commits.set(info.id, info);
    return info;
  }

  async #named(name: string): Promise<CommitInfo | null> {
    const known = this.#names.get(name);
    if (known) return await this.#commit(known);
    const args = ['rev-parse', '--verify', `${name}^{commit}`];
    const { code, stdout, stderr } = await inRepository(this.#located.repo, args);
    if (code !== 0 && isDamage(stderr)) throw explainGit(this.#place, stderr);
    if (code !== 0) return null;
    const id = stdout.toString('utf8').trim();
    this.#names.set(name, id);
    return await this.#commit(id);
  }

  #ambiguous(id: string): UserError {
    return new UserError({
      place: this.#place,
      found: `${id} is the beginning of several commits`,
      expected: 'more digits',
    });
  }
}
