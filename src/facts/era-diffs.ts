// SPDX-License-Identifier: GPL-2.0-only
import { diffLinks, isStable, type Link } from './links.ts';
import { loadFacts } from './load.ts';
import { eraRecord, releaseNumber } from './resolve.ts';
import type { EraRecord, Milestone } from './schema.ts';
import { readStory } from './stories.ts';

/**
 * The upstream diffs of an era: of its commit, or of the one after it where the era is the code just before. A release or a
 * series is no single commit: then of the milestones since the era before and of the commits that its story names.
 */
export function eraDiffs(era: EraRecord): Link[] {
  if (era.commit) return diffLinks(era.commit);
  if (era.revision?.endsWith('^')) {
    return diffLinks(era.revision.slice(0, -1)).map(({ title, url }) => ({ title: `${title} after it`, url }));
  }
  const told = readStory(era.id).stops.flatMap(({ commit }) => (commit === null || commit === 'own' ? [] : [commit]));
  // A stable kernel has commits of later releases, so releases do not tell which came between two of them.
  const counted = era.revision !== null && !era.releases.some(isStable);
  const between = counted ? milestonesOf(era).map(({ sha }) => sha) : [];
  const all = [...between, ...told.filter((sha) => !between.some((known) => known.startsWith(sha)))];
  return [...new Set(all)].map((sha) => ({ title: `patch ${sha.slice(0, 12)}`, url: diffLinks(sha)[0]!.url }));
}

/** Milestones after the era that this one follows, up to its release. */
function milestonesOf({ revision, previous }: EraRecord): Milestone[] {
  const { milestones } = loadFacts().milestones;
  const last = lastUpTo(revision);
  if (previous === null) return [];
  const { commit, revision: before } = eraRecord(previous);
  const first = milestones.findIndex(({ sha }) => commit?.startsWith(sha));
  return milestones.slice((first >= 0 ? first : lastUpTo(before)) + 1, last + 1);
}

/** Place of the last milestone that a release has, -1 when none has. A release that is believed without proof will do. */
function lastUpTo(revision: string | null): number {
  const wanted = releaseNumber(revision ?? '') ?? 0;
  return loadFacts().milestones.milestones.findLastIndex(({ release, release_believed }) => {
    const [first = ''] = (release ?? release_believed ?? '').split(' ');
    return (releaseNumber(first) ?? Number.POSITIVE_INFINITY) <= wanted;
  });
}
