// SPDX-License-Identifier: GPL-2.0-only
import { nearest, UserError } from '../errors.ts';
import { loadFacts } from './load.ts';
import type { EraRecord } from './schema.ts';

/** The four eras that the project started from. */
export const seedEras: readonly string[] = ['base-role', 'role-union', 'cpu-role', 'no-unload-v2'];

/**
 * The eras that an expression names, without repeats and in the order named:
 * an id (`cpu-role`), a commit prefix of 7 or more digits (`e5ed0fb`), the code just before one (`e5ed0fb0^`),
 * a release (`v5.19` or `5.19`: the last era it contains), a range of releases or eras (`5.19..6.4`), `all`,
 * or several of these with commas. Throws UserError, with a suggestion, on anything else.
 */
export function resolveEras(expression: string): EraRecord[] {
  const found: EraRecord[] = [];
  for (const part of expression.split(',')) {
    for (const era of resolvePart(part.trim())) if (!found.includes(era)) found.push(era);
  }
  return found;
}

/** The one era that an expression names; UserError when it names several. */
export function resolveEra(expression: string): EraRecord {
  const eras = resolveEras(expression);
  if (eras.length === 1) return eras[0]!;
  throw new UserError({
    place: 'era',
    found: `"${expression}" names ${eras.length} eras: ${eras.map(({ id }) => id).join(', ')}`,
    expected: 'one era',
    suggestion: eras[0]!.id,
  });
}

/** The record with exactly this id; UserError when there is none. */
export function eraRecord(id: string): EraRecord {
  const record = loadFacts().eras.find((era) => era.id === id);
  if (!record) throw unknownEra(id);
  return record;
}

function resolvePart(part: string): EraRecord[] {
  const { eras } = loadFacts();
  if (part === 'all') return [...eras];
  const range = part.split('..');
  if (range.length === 2) return resolveRange(part, range[0]!, range[1]!);
  const exact = eras.find(({ id }) => id === part);
  if (exact) return [exact];
  if (part.endsWith('^')) return [justBefore(part)];
  const byCommit = /^[0-9a-f]{7,40}$/.test(part) ? eras.filter(({ commit }) => commit?.startsWith(part)) : [];
  if (byCommit.length > 0) return byCommit;
  const wanted = releaseNumber(part);
  if (wanted === undefined) throw unknownEra(part);
  const inRelease = eras.filter(({ releases }) => releases.some((release) => releaseNumber(release) === wanted));
  // A release that several eras name stands for the last of them: its final text contains them all.
  if (inRelease.length > 0) return [inRelease.at(-1)!];
  throw uncoveredRelease(part, wanted);
}

function justBefore(part: string): EraRecord {
  const [era] = resolvePart(part.slice(0, -1));
  if (era!.before) return eraRecord(era!.before.era);
  throw new UserError({
    place: 'era',
    found: `no era is the code just before ${era!.id}`,
    expected: `a ^ after one of ${loadFacts()
      .eras.filter(({ before }) => before !== null)
      .map(({ id }) => id)
      .join(', ')}`,
    ...(era!.previous === null ? {} : { suggestion: `${era!.previous}, the era before it` }),
  });
}

function resolveRange(part: string, first: string, last: string): EraRecord[] {
  const { eras } = loadFacts();
  const from = bound(first);
  const to = bound(last);
  const inside = eras.filter((era, index) => from.notBefore(era, index) && to.notAfter(era, index));
  if (inside.length > 0) return inside;
  throw new UserError({
    place: 'era',
    found: `no era lies in ${part}`,
    expected: `a range that holds one of ${knownReleases().join(', ')}, or of two eras in their order`,
  });
}

interface Bound {
  notBefore(era: EraRecord, index: number): boolean;
  notAfter(era: EraRecord, index: number): boolean;
}

/** An end of a range: a release need not be that of an era, an era stands for its place in the list. */
function bound(end: string): Bound {
  const { eras } = loadFacts();
  const wanted = eras.some(({ id }) => id === end) ? undefined : releaseNumber(end);
  if (wanted !== undefined) {
    const some = (era: EraRecord, test: (release: number) => boolean): boolean =>
      era.releases.some((release) => test(releaseNumber(release)!));
    return {
      notBefore: (era) => some(era, (release) => release >= wanted),
      notAfter: (era) => some(era, (release) => release <= wanted),
    };
  }
  const at = eras.indexOf(resolveEra(end));
  return { notBefore: (_era, index) => index >= at, notAfter: (_era, index) => index <= at };
}

/** `v5.19`, `5.19`, `v2.6.30` or `6.1.192` as one number that orders them; undefined when it is no release. */
export function releaseNumber(release: string): number | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(release);
  if (!match) return undefined;
  return match.slice(1).reduce((sum, part) => sum * 1000 + Number(part ?? 0), 0);
}

function knownReleases(): string[] {
  return [...new Set(loadFacts().eras.flatMap(({ releases }) => releases))];
}

function uncoveredRelease(part: string, wanted: number): UserError {
  const earlier = loadFacts().eras.filter(({ releases }) =>
    releases.some((release) => releaseNumber(release)! < wanted),
  );
  const near = earlier.at(-1);
  return new UserError({
    place: 'era',
    found: `no era describes release ${part}`,
    expected: `one of ${knownReleases().join(', ')}`,
    ...(near ? { suggestion: `${near.id} (${near.releases.at(-1)}), the last era before it` } : {}),
  });
}

function unknownEra(part: string): UserError {
  const ids = loadFacts().eras.map(({ id }) => id);
  const near = nearest(part, ids);
  return new UserError({
    place: 'era',
    found: part === '' ? 'an empty name' : `unknown era "${part}"`,
    expected: `${ids.join(', ')}, a commit of 7 or more digits, a release, a range a..b, or all`,
    suggestion: near ?? 'mmu-eras eras',
  });
}
