// SPDX-License-Identifier: GPL-2.0-only
import { citedCommits } from '../facts/cited.ts';
import { type Citation, citedByPort, type EraRecord, loadFacts } from '../facts/index.ts';

/** Which revision to read for one that an era cites. */
export interface Revisions {
  /** The revision of an era's own code: the one its port cites most, which for a stable release is no tag of mainline. */
  anchor(era: EraRecord): string;
  /** The revision that `cited` means without --at. */
  usual(era: EraRecord, cited: string): string;
  /** Where to read what `era` says about `cited`; null for a series that no tree has, unless --at names one. */
  of(era: EraRecord, cited: string): string | null;
}

/**
 * Follows --at: what an era says of its own revision is read at the revision named for that era. What it says of another
 * era's revision is read where that era is, and everything else where it says.
 */
export function revisionsAt(at: ReadonlyMap<string, string>): Revisions {
  const { eras } = loadFacts();
  const anchors = new Map(eras.map((era) => [era.id, mostCited(era)]));
  const anchor = ({ id }: EraRecord): string => anchors.get(id)!;
  const isOwn = (era: EraRecord, cited: string): boolean => cited === anchor(era) || cited === era.revision;
  const usual = (era: EraRecord, cited: string): string => {
    const full = fullId(cited);
    // Tables of uses name the mainline release, which has a page to link to, and mean the stable one that was read.
    return full === era.revision && anchor(era).startsWith(`${full}.`) ? anchor(era) : full;
  };
  const of = (era: EraRecord, cited: string): string | null => {
    const full = fullId(cited);
    // What a series added has the era's id for a revision.
    const added = era.revision === null && full === era.id;
    if (at.has(era.id) && (isOwn(era, full) || added)) return at.get(era.id)!;
    if (added) return null;
    const owner = eras.find((one) => at.has(one.id) && one.revision === full);
    return owner ? at.get(owner.id)! : usual(era, cited);
  };
  return { anchor, usual, of };
}

function mostCited(era: EraRecord): string {
  const counts = new Map<string, number>();
  const cited: readonly Citation[] = era.snapshot === null ? [] : citedByPort(era.snapshot);
  for (const { revision } of cited) counts.set(revision, (counts.get(revision) ?? 0) + 1);
  const [first] = [...counts].sort(([, a], [, b]) => b - a);
  return first ? fullId(first[0]) : (era.revision ?? '');
}

/** The 40 digits of an id that the facts know by more digits than a comment gives. */
export function fullId(revision: string): string {
  if (!/^[0-9a-f]{7,39}$/.test(revision)) return revision;
  const { eras, milestones } = loadFacts();
  const known = [
    ...eras.map(({ commit }) => commit),
    ...milestones.milestones.map(({ sha }) => sha),
    ...citedCommits().map(({ sha }) => sha),
  ];
  return known.find((sha) => sha?.startsWith(revision)) ?? revision;
}
