// SPDX-License-Identifier: GPL-2.0-only
import { allStories, loadFacts } from '../facts/index.ts';

/** What the facts name upstream. */
export interface Plan {
  /** Commit ids, full ones wherever the facts have them, ids with `^`, and tags; each once, eras first. */
  readonly revisions: readonly string[];
  /** From the revision of one era to that of a later one that is a release and no single commit. */
  readonly ranges: readonly (readonly [from: string, to: string])[];
}

/** Every commit and release that the facts and the stories name, and `also`. */
export function upstreamPlan(also: readonly string[] = []): Plan {
  const { eras, milestones, noUnloadV2, roleBits } = loadFacts();
  const bits = roleBits.bits.flatMap((bit) => [
    bit.introduced,
    bit.removed,
    bit.readded,
    bit.renamed_to?.by,
    ...bit.width_changes.map(({ by }) => by),
  ]);
  const containers = roleBits.containers.flatMap((each) => [each.introduced, each.removed, each.renamed_by]);
  const stops = allStories().flatMap((story) => story.stops);
  const named = [
    ...eras.map(({ revision }) => revision),
    ...milestones.milestones.map(({ sha }) => sha),
    ...noUnloadV2.patches.map(({ landed }) => landed?.sha),
    ...[...bits, ...containers].map((change) => change?.sha),
    ...stops.map(({ commit }) => (commit === 'own' ? null : commit)),
    ...also,
  ].flatMap((revision) => (revision ? [revision] : []));
  const ranges = eras.flatMap(({ revision, previous }) => {
    const from = eras.find(({ id }) => id === previous)?.revision;
    return revision && from && isTag(revision) ? [[from, revision] as const] : [];
  });
  return { revisions: withoutPrefixes([...new Set(named)]), ranges };
}

/** Whether a revision of the facts is a release: only those have a dot. */
export const isTag = (revision: string): boolean => /^v\d/.test(revision);

/** Drops each id that is the beginning of another one in the list. */
const withoutPrefixes = (revisions: readonly string[]): string[] =>
  revisions.filter((each) => !revisions.some((other) => isLonger(other, each)));

const isLonger = (other: string, each: string): boolean =>
  /^[0-9a-f]+$/.test(each) && /^[0-9a-f]+$/.test(other) && other.length > each.length && other.startsWith(each);
