// SPDX-License-Identifier: GPL-2.0-only
import { citedCommits } from '../facts/cited.ts';
import {
  type Citation,
  citedByPort,
  citedByUses,
  type EraRecord,
  loadFacts,
  pathIn,
  sourceUrl,
  usesTable,
} from '../facts/index.ts';
import { commitLinks } from './commit-links.ts';
import type { FunctionHistory, FunctionInEra, HistoryCommit } from './history.ts';
import { codeOf } from './port-text.ts';
import { fullId, revisionsAt } from './revisions.ts';

/** What the ports, the tables of uses and the milestones say of a kernel function; null when none of them names it. */
export function functionHistory(name: string): FunctionHistory | null {
  const { eras } = loadFacts();
  const found: FunctionInEra[] = [];
  const codes = new Map<string, string | null>();
  const mentions = new Map<string, string>();
  const revisions = revisionsAt(new Map());
  for (const era of eras) {
    const cited = citedIn(era, name);
    if (cited.length === 0) continue;
    for (const { commits, at } of cited) for (const sha of commits) mentions.set(sha, mentions.get(sha) ?? at);
    const code = portCode(cited);
    const before = codes.get(era.previous ?? '') ?? [...codes.values()].at(-1) ?? null;
    codes.set(era.id, code);
    const revision = (of: string): string | null => revisions.of(era, of);
    found.push(inEra(era, name, cited, { code, before, revision }));
  }
  return found.length === 0 ? null : { kind: 'function', name, eras: found, commits: commitsOf(name, found, mentions) };
}

/** Every function, macro and type that a port or table of uses names, for suggestions. */
export function citedNames(): Set<string> {
  const names = loadFacts().eras.flatMap((era) => allCited(era).map(({ symbol }) => symbol ?? ''));
  return new Set(names.filter((name) => name !== ''));
}

const allCited = (era: EraRecord): Citation[] => [
  ...(era.snapshot === null ? [] : citedByPort(era.snapshot)),
  ...citedByUses(era.id),
];

const citedIn = (era: EraRecord, name: string): Citation[] => allCited(era).filter(({ symbol }) => symbol === name);

/** The code of our declaration that a comment introduces with this citation; null when no declaration is below one. */
function portCode(cited: readonly Citation[]): string | null {
  for (const { at, declares } of cited) {
    if (declares === null) continue;
    const code = codeOf(at.replace(/:\d+$/, ''), declares);
    if (code !== null) return code;
  }
  return null;
}

interface Context {
  readonly code: string | null;
  /** The code in the era before, or in the last one that cites the function; null when none does. */
  readonly before: string | null;
  /** Where to read what the era cites of a revision. */
  readonly revision: (cited: string) => string | null;
}

function inEra(
  era: EraRecord,
  name: string,
  cited: readonly Citation[],
  { code, before, revision: of }: Context,
): FunctionInEra {
  const best = cited.find(({ line, about }) => line !== null && !about) ?? cited[0]!;
  const revision = of(best.revision);
  const rows = usesTable(era.id).rows.filter((row) => row.function === name);
  const path = era.snapshot === null ? best.path : pathIn(era.snapshot, best.path);
  const line = best.about ? null : best.line;
  return {
    era: era.id,
    path,
    line,
    url: revision === null ? null : pageOf(revision, path, line),
    code: code === null ? null : before === null ? 'first' : before === code ? 'same' : 'other',
    reads: rows.flatMap(({ reads }) => reads.flatMap(({ word, fields }) => fields.map((field) => `${word}.${field}`))),
  };
}

const stableTree = 'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tree';

/** A page of the source; stable releases are not in the tree that the other links lead to. */
function pageOf(revision: string, path: string, line: number | null): string {
  if (!/^v(?!2\.)\d+\.\d+\.\d+$/.test(revision)) return sourceUrl(revision, path, line ?? undefined);
  return `${stableTree}/${path}?h=${revision}${line === null ? '' : `#n${line}`}`;
}

/** Commits that our comments on the function name, milestones that name it, eras whose port has other code for it. */
function commitsOf(
  name: string,
  eras: readonly FunctionInEra[],
  mentions: ReadonlyMap<string, string>,
): HistoryCommit[] {
  const { milestones, eras: records } = loadFacts();
  const word = new RegExp(`\\b${name}\\b`);
  const what = new Map<string, string[]>();
  const add = (sha: string, sentence: string): void => {
    const known = [...what.keys()].find((one) => one.startsWith(sha) || sha.startsWith(one)) ?? sha;
    what.set(known, [...(what.get(known) ?? []), sentence]);
  };
  for (const { sha, subject, effect } of milestones.milestones) {
    if (word.test(subject) || word.test(effect)) add(sha, effect);
  }
  for (const { sha, subject } of citedCommits()) if (word.test(subject)) add(sha, 'its subject names the function');
  for (const { era, code } of eras) {
    const { commit, before } = records.find(({ id }) => id === era)!;
    // Only where the era before is the code just before the commit: elsewhere many commits lie between.
    if (code === 'other' && commit !== null && before !== null)
      add(commit, `our code differs between ${before.era} and ${era}`);
  }
  for (const [sha, at] of mentions) add(fullId(sha), `named in our comment at ${at}`);
  return [...what].map(([sha, sentences]) => commitOf(sha, sentences)).sort((a, b) => order(a.sha!) - order(b.sha!));
}

function commitOf(sha: string, what: readonly string[]): HistoryCommit {
  const { milestones, eras } = loadFacts();
  const milestone = milestones.milestones.find((one) => one.sha.startsWith(sha) || sha.startsWith(one.sha));
  const era = eras.find(({ commit }) => commit === sha);
  const cited = citedCommits().find((one) => one.sha === sha);
  const believed = milestone?.release_believed;
  return {
    sha,
    subject: milestone?.subject ?? era?.subject ?? cited?.subject ?? null,
    release: milestone?.release ?? era?.releases[0] ?? cited?.release ?? (believed ? `${believed}?` : '?'),
    what,
    // What is only cited was seen as sha and subject, without its change.
    verified: milestone?.verified ?? era !== undefined,
    links: commitLinks(sha),
  };
}

const order = (sha: string): number => {
  const found = loadFacts().milestones.milestones.find((one) => one.sha.startsWith(sha) || sha.startsWith(one.sha));
  return found?.order ?? Number.MAX_SAFE_INTEGER;
};
