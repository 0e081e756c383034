// SPDX-License-Identifier: GPL-2.0-only
import type { Packed } from '../../upstream/pack.ts';
import type { Synced } from '../../upstream/sync.ts';

/** What a sync brought, and what it did not. */
export function syncAsText({ fetched, present, absent, unaskable, texts }: Synced): string {
  return [
    `fetched: ${count(fetched.length, 'commit')} with parents, ${count(texts, 'text')}`,
    `already there: ${count(present.length, 'commit')}`,
    ...listed('not at this remote', absent),
    ...listed('known by their first digits only, which no remote can be asked for', unaskable),
    '',
  ].join('\n');
}

/** What a capsule holds, and what the clone did not have. */
export function packAsText({ commits, diffs, objects, bytes, absent }: Packed): string {
  return [
    `packed: ${count(commits, 'commit')}, ${count(diffs, 'diff')}, ${count(objects, 'object')}, ${bytes} bytes`,
    ...(absent.length === 0 ? [] : [`left out: ${absent.length}`]),
    ...absent.map(({ revision, why }) => `  ${revision}: ${why}`),
    '',
  ].join('\n');
}

const listed = (what: string, revisions: readonly string[]): string[] =>
  revisions.length === 0 ? [] : [`${what}: ${revisions.length}`, ...revisions.map((each) => `  ${each}`)];

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
