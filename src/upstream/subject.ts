// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { type EraRecord, eraRecord, loadFacts, type Milestone, resolveEra } from '../facts/index.ts';
import { isTag } from './plan.ts';

/** What the user named: one commit against its parent, or all that happened up to a release. */
export type Subject = {
  /** What the user calls it: an era's id, or the commit. */
  readonly name: string;
  readonly era: EraRecord | null;
  /** What the facts know of the commit. */
  readonly milestone: Milestone | null;
  /** The commit's id in the facts: what links may name. */
  readonly sha: string | null;
} & (
  | { readonly kind: 'commit'; readonly revision: string }
  | { readonly kind: 'range'; readonly from: string; readonly to: string }
);

/** Revisions that stand for eras in a tree without the original ids, by era id. */
export type Elsewhere = ReadonlyMap<string, string>;

/** Reads `--at ERA=REVISION` options. Throws UserError for another form or an unknown era. */
export function elsewhere(options: readonly string[]): Elsewhere {
  return new Map(
    options.map((option) => {
      const at = option.indexOf('=');
      if (at > 0 && at < option.length - 1) return [resolveEra(option.slice(0, at)).id, option.slice(at + 1)] as const;
      throw new UserError({
        place: `--at ${option}`,
        found: 'no era and revision',
        expected: 'ERA=REVISION, e.g. cpu-role=e5ed0fb0',
      });
    }),
  );
}

/** The revision of an era, as git resolves it in this tree; UserError for an era that never was a commit. */
export function eraRevision(era: EraRecord, at: Elsewhere): string {
  const revision = at.get(era.id) ?? era.revision;
  if (revision !== null) return revision;
  throw new UserError({
    place: era.id,
    found: 'a series that was proposed on the list and never merged: no tree has it as a commit',
    expected: 'an era with a commit, or --at with the revision of a branch that has the series applied',
    suggestion: `mmu-eras diff ${era.previous} ${era.id} for our ports; mmu-eras links ${era.id} for the mails and what landed`,
  });
}

/** Finds out what a word of the command line names. Throws UserError for what is neither era nor commit. */
export function subjectOf(word: string, at: Elsewhere): Subject {
  const era = eraOf(word);
  if (!era) {
    const sha = knownSha(word);
    return { kind: 'commit', name: word, era: null, milestone: milestoneOf(sha ?? ''), sha, revision: sha ?? word };
  }
  const revision = eraRevision(era, at);
  const milestone = milestoneOf(era.revision ?? '');
  if (era.revision !== null && isTag(era.revision) && era.previous !== null) {
    const from = eraRevision(eraRecord(era.previous), at);
    return { kind: 'range', name: era.id, era, milestone, sha: null, from, to: revision };
  }
  if (era.revision?.endsWith('^') && !at.has(era.id)) {
    const child = loadFacts().eras.find(({ before }) => before?.era === era.id);
    throw new UserError({
      place: era.id,
      found: 'the code just before a commit, which is no change of its own',
      expected: 'an era that is a commit or a release',
      suggestion: `mmu-eras diff ${child?.id ?? era.revision.slice(0, -1)}`,
    });
  }
  return { kind: 'commit', name: era.id, era, milestone, sha: era.commit, revision };
}

/** The era that a word names; null for a commit that is not one of an era. */
export function eraOf(word: string): EraRecord | null {
  const isCommit = /^[0-9a-f]{7,40}[\^~\d]*$/.test(word);
  const { eras } = loadFacts();
  const ids = word.replace(/\^$/, '');
  if (isCommit && !eras.some(({ commit }) => commit?.startsWith(ids))) return null;
  // `e5ed0fb0^` is an era only where that parent is one.
  if (isCommit && word.endsWith('^') && !eras.some((each) => each.commit?.startsWith(ids) && each.before)) return null;
  return resolveEra(word);
}

const milestoneOf = (sha: string): Milestone | null =>
  loadFacts().milestones.milestones.find(
    (each) => sha.startsWith(each.sha) || (sha !== '' && each.sha.startsWith(sha)),
  ) ?? null;

/** The id in the facts, in full where they have it (a remote gives no commit for a few digits); null where they have none. */
function knownSha(word: string): string | null {
  const { milestones, noUnloadV2 } = loadFacts();
  const landed = noUnloadV2.patches.flatMap((patch) => (patch.landed ? [patch.landed.sha] : []));
  const known = [...milestones.milestones.map(({ sha }) => sha), ...landed];
  return known.find((sha) => sha.startsWith(word) || word.startsWith(sha)) ?? null;
}
