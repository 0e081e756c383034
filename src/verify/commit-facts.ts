// SPDX-License-Identifier: GPL-2.0-only
import { citedCommits } from '../facts/cited.ts';
import { type Change, type EraRecord, loadFacts } from '../facts/index.ts';
import type { CommitFact } from './commit-check.ts';

/** What eras.json says of the commit or release of an era; null where that is nothing which a clone can confirm. */
export function commitOfEra(era: EraRecord): CommitFact | null {
  if (era.revision === null || era.revision.endsWith('^')) return null;
  const { subject, author, date, date_basis: dateBasis } = era;
  if (subject === null && author === null && !/release/.test(dateBasis ?? '')) return null;
  return { revision: era.revision, places: [`commits/eras.json ${era.id}`], subject, author, date, dateBasis };
}

/** Every other commit of the facts: milestones, changes of role bits, patches that landed, what is named in passing. */
export function commitsOfFacts(): CommitFact[] {
  const { milestones, roleBits, noUnloadV2 } = loadFacts();
  const facts: CommitFact[] = milestones.milestones.map((one) => ({
    revision: one.sha,
    places: [`commits/milestones.json ${one.order}`],
    subject: one.subject,
    author: one.author,
    date: one.author_date,
    dateBasis: one.date_basis,
  }));
  for (const bit of roleBits.bits) {
    const changes = [
      bit.introduced,
      bit.removed,
      bit.readded,
      bit.renamed_to?.by,
      ...bit.width_changes.map(({ by }) => by),
    ];
    for (const change of changes) facts.push(...changeFact(change, `commits/role-bits.json ${bit.name}`));
  }
  for (const union of roleBits.containers) {
    for (const change of [union.introduced, union.removed, union.renamed_by]) {
      facts.push(...changeFact(change, `commits/role-bits.json ${union.name}`));
    }
  }
  for (const { landed, number } of noUnloadV2.patches) {
    if (!landed) continue;
    // A patch may get another subject on its way in; who wrote the series, wrote what landed of it.
    const places = [`commits/no-unload-v2.json patch ${number}`];
    facts.push({ revision: landed.sha, places, subject: null, author: noUnloadV2.author, date: null, dateBasis: null });
  }
  for (const { sha: revision, subject, author } of citedCommits()) {
    facts.push({ revision, places: ['commits/cited.json'], subject, author, date: null, dateBasis: null });
  }
  return merged(facts);
}

function changeFact(change: Change | null | undefined, place: string): CommitFact[] {
  if (!change?.sha) return [];
  const { sha: revision, subject, author, date, date_kind: dateBasis } = change;
  return [{ revision, places: [place], subject, author, date, dateBasis }];
}

function merged(facts: readonly CommitFact[]): CommitFact[] {
  const byContent = new Map<string, CommitFact>();
  for (const fact of facts) {
    const { places, ...content } = fact;
    const key = JSON.stringify(content);
    const known = byContent.get(key);
    byContent.set(key, known ? { ...known, places: [...new Set([...known.places, ...places])] } : fact);
  }
  return [...byContent.values()];
}
