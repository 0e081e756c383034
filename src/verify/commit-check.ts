// SPDX-License-Identifier: GPL-2.0-only
import { compared, unchecked, unreadable } from './findings.ts';
import type { Finding } from './model.ts';
import { type CommitReading, isUnreadable, type KernelSource } from './source.ts';

/** What our facts say of one commit; null where they say nothing. */
export interface CommitFact {
  readonly revision: string;
  readonly places: readonly string[];
  readonly subject: string | null;
  readonly author: string | null;
  readonly date: string | null;
  /** What the date is, in the words of the facts. */
  readonly dateBasis: string | null;
}

/** Subject, author and date of one commit against the facts. */
export async function checkCommit(fact: CommitFact, source: KernelSource): Promise<Finding> {
  const what = `commit ${fact.revision.slice(0, 12)}`;
  const subject = { kind: 'commit', what, revision: fact.revision, places: fact.places } as const;
  const found = await source.commitInfo(fact.revision);
  if (isUnreadable(found)) return unreadable(subject, found);
  const comparisons = [
    compare('subject', found.subject, fact.subject),
    compare('author', found.author, fact.author),
    compareDate(found, fact),
  ].filter((one) => one !== null);
  if (comparisons.length === 0) return unchecked(subject, 'our facts say nothing of it that a clone can confirm');
  return compared(
    subject,
    comparisons.filter((one) => one !== same),
  );
}

/** A comparison that found no difference; a difference is a sentence, and null is a fact that we do not state. */
const same = '';

const compare = (what: string, found: string, said: string | null): string | null =>
  said === null ? null : said === found ? same : `${what} is "${found}", we say "${said}"`;

/**
 * A date of ours is that of the author (who of a release is its committer), of the mail or the commit that followed, or of
 * something that a clone does not know. A patch is written before it is mailed or applied, so there the author date may
 * be earlier.
 */
function compareDate({ authorDate }: CommitReading, { date, dateBasis }: CommitFact): string | null {
  if (date === null || dateBasis === null) return null;
  const judge = (agrees: (day: string) => boolean): string =>
    daysOf(authorDate).some(agrees) ? same : `author date is ${authorDate.slice(0, 10)}, we say ${date} (${dateBasis})`;
  if (/mail Date|posted|commit date/.test(dateBasis)) return judge((day) => day.slice(0, date.length) <= date);
  if (/author|git show|blame|month|release date/.test(dateBasis)) return judge((day) => day.startsWith(date));
  return null;
}

/** The day as who wrote the date had it, and as UTC has it. */
const daysOf = (iso: string): string[] => [iso.slice(0, 10), new Date(iso).toISOString().slice(0, 10)];
