// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { explainGit } from './explain.ts';
import { withoutHaves } from './fetch-line.ts';
import { type GitResult, runGit } from './git.ts';
import { isTag } from './plan.ts';
import { parseRevision } from './revision.ts';

/** Transports that may be used: those that start no program of the remote's choice. */
const network = { GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh' } as const;

/** A clone on this machine must not go to its own remote for what it lacks. */
const local = { GIT_ALLOW_PROTOCOL: 'file' } as const;

/** git.kernel.org and GitHub leave texts out and give single objects when asked; a clone on this machine has to be told. */
const servingSingles = 'git -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true upload-pack';

/** Asks a remote for single objects and puts them into the cache. The user's own git configuration counts (proxy, keys). */
export class Fetcher {
  readonly #cache: string;
  readonly #remote: string;
  readonly #isLocal: boolean;
  readonly #onProgress: ((text: string) => void) | undefined;
  /** Requests that were answered. */
  received = 0;

  constructor(cache: string, remote: string, onProgress?: (text: string) => void) {
    if (remote.startsWith('-') || remote === '') {
      throw new UserError({
        place: `--remote ${remote}`,
        found: 'no address',
        expected: 'an address or a path of a repository',
      });
    }
    this.#cache = cache;
    const isPath = existsSync(remote);
    // git runs in the cache, where a relative path would mean something else.
    this.#remote = isPath ? resolve(remote) : remote;
    this.#isLocal = isPath || remote.startsWith('file://');
    this.#onProgress = onProgress;
  }

  /** Those of the tags that the remote has. */
  async tagsOf(tags: readonly string[]): Promise<Set<string>> {
    if (tags.length === 0) return new Set();
    const names = tags.map((tag) => `refs/tags/${tag}`);
    const { code, stdout, stderr } = await this.#git(['ls-remote', '--refs', 'upstream', ...names]);
    if (code !== 0) throw explainGit(`--remote ${this.#remote}`, stderr);
    return new Set([...stdout.toString('utf8').matchAll(/\trefs\/tags\/(.+)$/gm)].map((match) => match[1]!));
  }

  /** Fetches commits with their parents, without texts. Those that the remote does not have are left out. */
  async commits(revisions: readonly string[]): Promise<void> {
    const wanted = revisions.map(parseRevision);
    const depth = 1 + Math.max(1, ...wanted.map(({ steps }) => steps));
    let specs = [...new Set(wanted.map(({ base }) => base))];
    while (specs.length > 0) {
      const refs = specs.map((base) =>
        isTag(base) ? `refs/tags/${base}:refs/tags/${base}` : `${base}:refs/commits/${base}`,
      );
      const { code, stderr } = await this.#fetch([`--depth=${depth}`, 'upstream', ...refs]);
      if (code === 0) {
        this.received++;
        return;
      }
      const refused = /(?:not our ref|unadvertised object) ([0-9a-f]{40})/.exec(stderr)?.[1];
      if (refused === undefined || !specs.includes(refused)) throw explainGit(`--remote ${this.#remote}`, stderr);
      specs = specs.filter((base) => base !== refused);
    }
  }

  /** Fetches single texts by their ids. */
  async texts(ids: readonly string[]): Promise<void> {
    const input = ids.map((id) => `${id}\n`).join('');
    const { code, stderr } = await this.#fetch(['--stdin', 'upstream'], input, withoutHaves);
    if (code !== 0) throw explainGit(`--remote ${this.#remote}`, stderr);
    this.received++;
  }

  #fetch(args: readonly string[], input?: string, settings: readonly string[] = []): Promise<GitResult> {
    const options = [
      '--no-tags',
      '--no-write-fetch-head',
      '--no-recurse-submodules',
      '--no-prune',
      '--no-auto-maintenance',
    ];
    const progress = this.#onProgress ? '--progress' : '--no-progress';
    const server = this.#isLocal ? [`--upload-pack=${servingSingles}`] : [];
    return this.#git([...settings, 'fetch', ...options, ...server, progress, '--filter=blob:none', ...args], input);
  }

  #git(args: readonly string[], input?: string): Promise<GitResult> {
    return runGit({
      cwd: this.#cache,
      args: ['-c', `remote.upstream.url=${this.#remote}`, ...args],
      env: { ...(this.#isLocal ? local : network), GIT_DIR: this.#cache },
      userConfig: true,
      ...(input === undefined ? {} : { input }),
      ...(this.#onProgress ? { onProgress: (text: string) => this.#onProgress!(percentages(text)) } : {}),
    });
  }
}

/** Of what git writes while it fetches, what moves: a commit that the remote lacks is told at the end, not as `fatal:`. */
const percentages = (text: string): string =>
  text
    .split(/(?<=[\r\n])/)
    .filter((piece) => /\d% \(/.test(piece))
    .join('');
