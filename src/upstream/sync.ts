// SPDX-License-Identifier: GPL-2.0-only

import { prepareCache, removeCache } from './cache.ts';
import { type CloneSource, openClone } from './clone.ts';
import { Fetcher } from './fetcher.ts';
import { kvmPaths } from './paths.ts';
import { isTag, type Plan } from './plan.ts';
import { parseRevision } from './revision.ts';

/** What a sync did, by revision of the plan, each list in its order. */
export interface Synced {
  readonly fetched: readonly string[];
  readonly present: readonly string[];
  /** The remote does not have them: a tag of another tree, or a commit that never got there. */
  readonly absent: readonly string[];
  /** Known by their first digits only, for which no remote can be asked. */
  readonly unaskable: readonly string[];
  /** Texts that came in this run. */
  readonly texts: number;
}

/** How many commits, or texts, one request asks for: what a break in the line loses. */
const commitsAtOnce = 8;
const textsAtOnce = 500;

/** Who hears of it: a line for each request, and what git itself reports. */
export interface SyncListener {
  readonly tell: (line: string) => void;
  readonly onProgress?: (text: string) => void;
}

/**
 * Fills the bare repository `cache` with the commits of the plan, their parents and their KVM texts from a remote (an address
 * or a path). What is there is not asked for again, so a broken run goes on where it stopped. Throws UserError for a remote
 * that cannot be read, and then leaves no empty repository.
 */
export async function syncCache(cache: string, remote: string, plan: Plan, listener: SyncListener): Promise<Synced> {
  const fetcher = new Fetcher(cache, remote, listener.onProgress);
  const created = prepareCache(cache);
  const source = await openClone(cache, { synced: true });
  try {
    const commits = await syncCommits(source, fetcher, plan, listener.tell);
    const texts = await syncTexts(source, fetcher, [...commits.fetched, ...commits.present], listener.tell);
    return { ...commits, texts };
  } catch (error) {
    if (created && fetcher.received === 0) removeCache(cache);
    throw error;
  } finally {
    await source.close();
  }
}

async function syncCommits(
  source: CloneSource,
  fetcher: Fetcher,
  plan: Plan,
  tell: (line: string) => void,
): Promise<Omit<Synced, 'texts'>> {
  const present: string[] = [];
  const unaskable: string[] = [];
  const wanted: string[] = [];
  for (const revision of plan.revisions) {
    const { base, isId } = parseRevision(revision);
    if (await isComplete(source, revision)) present.push(revision);
    else if (isId && base.length < 40) unaskable.push(revision);
    else wanted.push(revision);
  }
  const tags = await fetcher.tagsOf(wanted.filter(isTag));
  const askable = wanted.filter((revision) => !isTag(revision) || tags.has(revision));
  for (let at = 0; at < askable.length; at += commitsAtOnce) {
    const some = askable.slice(at, at + commitsAtOnce);
    tell(`commits ${at + 1} to ${at + some.length} of ${askable.length}`);
    await fetcher.commits(some);
  }
  const fetched: string[] = [];
  const absent: string[] = [];
  for (const revision of wanted) ((await isComplete(source, revision)) ? fetched : absent).push(revision);
  return { fetched, present, absent, unaskable };
}

/** Whether a commit is there with its first parent; `X^` is itself the parent of a commit, and has no diff to show. */
async function isComplete(source: CloneSource, revision: string): Promise<boolean> {
  const info = await source.commitInfo(revision);
  if (parseRevision(revision).steps > 0) return info !== null;
  return info !== null && (info.parents[0] === undefined || (await source.has(info.parents[0])));
}

/** Fetches the KVM texts of the commits and their parents, and the other texts that the commits changed. */
async function syncTexts(
  source: CloneSource,
  fetcher: Fetcher,
  revisions: readonly string[],
  tell: (line: string) => void,
): Promise<number> {
  const texts: string[] = [];
  for (const revision of revisions) {
    const { id, parents } = (await source.commitInfo(revision))!;
    texts.push(...(await source.textsBelow(id, kvmPaths)));
    if (parseRevision(revision).steps > 0) continue;
    for (const parent of parents.slice(0, 1)) texts.push(...(await source.textsBelow(parent, kvmPaths)));
    texts.push(...(await source.textsOfDiff(id)));
  }
  const absent = await source.absent(texts);
  for (let at = 0; at < absent.length; at += textsAtOnce) {
    const some = absent.slice(at, at + textsAtOnce);
    tell(`texts ${at + 1} to ${at + some.length} of ${absent.length}`);
    await fetcher.texts(some);
  }
  return absent.length;
}
