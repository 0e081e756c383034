// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { quoted } from './explain.ts';
import { inRepository, type Located } from './locate.ts';
import { parseRevision } from './revision.ts';

/** Linus Torvalds' tree, which has every merged commit that the facts name. */
export const mainlineUrl = 'https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git';

/** To a server, who has a commit has its texts too; single texts are only sent to one who names no commits of his own. */
export const withoutHaves: readonly string[] = ['-c', 'fetch.negotiationAlgorithm=noop'];

/** Stable releases since v3.0 are tags of this tree alone. */
const stableUrl = 'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git';
const isStable = (tag: string): boolean => /^v(?!2\.)\d+\.\d+\.\d+$/.test(tag);

/** The command that brings a missing revision into a clone. A shallow clone stays shallow, a full one stays full. */
export async function fetchCommitLine(located: Located, revision: string): Promise<string> {
  const { base, isId, steps } = parseRevision(revision);
  const shallow = existsSync(join(located.commonDir, 'shallow'));
  // A commit is shown against its parent, so one more than was asked for.
  const depth = shallow ? [`--depth=${steps + 2}`] : [];
  const fetch = ['fetch', ...depth, isStable(base) ? stableUrl : await remoteOf(located)];
  if (!isId) return line(located, [...fetch, 'tag', base]);
  if (base.length === 40) return line(located, [...fetch, base]);
  return `${line(located, fetch)} ID, with all 40 digits of ${base}: no remote knows an id by a part of it`;
}

/** The command that brings missing blobs or trees into a partial clone: it asks for exactly these. */
export async function fetchObjectsLine(located: Located, ids: readonly string[]): Promise<string> {
  const options = ['fetch', '--no-tags', '--no-write-fetch-head', '--filter=blob:none'];
  return line(located, [...withoutHaves, ...options, await remoteOf(located), ...ids]);
}

const line = ({ repo }: Located, args: readonly string[]): string => ['git', '-C', repo, ...args].map(quoted).join(' ');

/** The remote that is a kernel tree by its address, else origin, else any; a clone without remotes gets the address. */
async function remoteOf({ repo }: Located): Promise<string> {
  const { stdout } = await inRepository(repo, ['config', '-z', '--get-regexp', '^remote\\..*\\.url$']);
  const remotes = stdout
    .toString('utf8')
    .split('\0')
    .flatMap((entry) => {
      const match = /^remote\.(.*)\.url\n(.*)$/s.exec(entry);
      return match ? [{ name: match[1]!, url: match[2]! }] : [];
    });
  const kernel = remotes.find(({ url }) => /torvalds\/linux(\.git)?\/?$/.test(url));
  const origin = remotes.find(({ name }) => name === 'origin');
  return (kernel ?? origin ?? remotes[0])?.name ?? mainlineUrl;
}
