// SPDX-License-Identifier: GPL-2.0-only
import { type BitRecord, bitRange, type Change, fieldEvents, loadFacts, releaseOf } from '../facts/index.ts';
import { commitLinks } from './commit-links.ts';
import type { BitHistory, BitPlace, HistoryCommit } from './history.ts';

/** What happened to a role bit, in each union that has had one of that name. Empty when no union has. */
export function bitHistories(name: string): BitHistory[] {
  const { bits } = loadFacts().roleBits;
  return bits
    .filter((bit) => bit.name === name)
    .map((bit) => {
      const names = namesOf(bit);
      return {
        kind: 'bit' as const,
        union: bit.union,
        names: names.map((one) => one.name),
        meaning: bit.meaning,
        places: placesOf(names),
        commits: commitsOf(names),
      };
    });
}

/** The records of a bit under its earlier and later names, oldest first. */
function namesOf(bit: BitRecord): BitRecord[] {
  const find = (name: string): BitRecord | undefined =>
    loadFacts().roleBits.bits.find((one) => one.union === bit.union && one.name === name);
  const names = [bit];
  for (let first = bit.renamed_from; first !== null; first = names[0]!.renamed_from) {
    const earlier = find(first);
    if (!earlier) break;
    names.unshift(earlier);
  }
  for (let last = bit.renamed_to; last !== null; last = names.at(-1)!.renamed_to) {
    const later = find(last.name);
    if (!later) break;
    names.push(later);
  }
  return names;
}

function placesOf(names: readonly BitRecord[]): BitPlace[] {
  const { layouts, eras } = loadFacts();
  const places = new Map<string, { bits: string; layouts: string[]; eras: string[] }>();
  for (const layout of layouts) {
    const fields = names[0]!.union === 'kvm_mmu_page_role' ? layout.base : layout.ext;
    const field = fields?.find((one) => names.some(({ name }) => name === one.field));
    if (!field) continue;
    const bits = `${field.field} in ${field.width === 1 ? 'bit' : 'bits'} ${bitRange(field.lsb, field.width)}`;
    const place = places.get(bits) ?? { bits, layouts: [], eras: [] };
    places.set(bits, place);
    place.layouts.push(layout.id);
    place.eras.push(...eras.filter((era) => era.layout === layout.id).map(({ id }) => id));
  }
  return [...places.values()];
}

/** A renaming is an event of both names and is told once. */
function commitsOf(names: readonly BitRecord[]): HistoryCommit[] {
  const commits: HistoryCommit[] = [];
  for (const [index, bit] of names.entries()) {
    for (const { what, change } of fieldEvents(bit)) {
      const told = index < names.length - 1 && bit.renamed_to !== null && change === bit.renamed_to.by;
      if (!told) commits.push(historyCommit(what, change));
    }
  }
  return commits;
}

const historyCommit = (what: string, change: Change): HistoryCommit => ({
  sha: change.sha,
  subject: change.subject,
  release: releaseOf(change),
  what: [what],
  verified: change.verified,
  links: change.sha === null ? [] : commitLinks(change.sha),
});
