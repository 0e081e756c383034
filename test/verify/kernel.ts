// SPDX-License-Identifier: GPL-2.0-only
import { eras } from '../../snapshots/all.ts';
import { citedByPort, citedByUses, eraRecord, loadFacts, pathsOf } from '../../src/facts/index.ts';
import type { Layout } from '../../src/role/layout.ts';
import { revisionsAt } from '../../src/verify/revisions.ts';
import type { KernelSource } from '../../src/verify/source.ts';

const header = 'arch/x86/include/asm/kvm_host.h';

/**
 * A kernel in which everything is where an era says: files of empty functions, each at the line that is cited for it, and
 * role unions like the tables of its port. Revision → path → text. All of it is made here; no line is of any kernel.
 */
export function kernelOf(id: string): Record<string, Record<string, string>> {
  const era = eraRecord(id);
  const revisions = revisionsAt(new Map());
  const lines: Record<string, Record<string, string[]>> = {};
  const fileAt = (revision: string, path: string): string[] => {
    lines[revision] ??= {};
    lines[revision][path] ??= [];
    return lines[revision][path];
  };
  const citations = [...citedByPort(era.snapshot!), ...citedByUses(id)];
  // Lines first: a function without one can stand behind all others.
  citations.sort((a, b) => Number(a.line === null) - Number(b.line === null));
  for (const { revision: cited, path, symbol, line } of citations) {
    const revision = revisions.of(era, cited);
    if (revision === null) continue;
    const file = fileAt(revision, pathsOf(path)[0]!);
    const definition = symbol === null ? '' : `static int ${symbol}(void) { return 0; }`;
    const at = line === null ? file.length : line - 1;
    while (file.length <= at) file.push('');
    if (!file[at]!.includes(definition)) file[at] += definition;
  }
  const { page, extended } = eras.find((port) => port.id === id)!.layouts;
  const anchor = revisions.anchor(era);
  // Behind the functions of the header, whose lines are cited.
  fileAt(anchor, header).push(union('kvm_mmu_page_role', page));
  if (era.words.ext !== null) fileAt(anchor, header).push(union('kvm_mmu_extended_role', extended), container);
  return Object.fromEntries(
    Object.entries(lines).map(([revision, files]) => [
      revision,
      Object.fromEntries(Object.entries(files).map(([path, text]) => [path, `${text.join('\n')}\n`])),
    ]),
  );
}

const container =
  'union kvm_cpu_role { u64 as_u64; struct { union kvm_mmu_page_role base; union kvm_mmu_extended_role ext; }; };';

/** A union as KVM writes one, from a table of ours. */
const union = (name: string, table: Layout | null): string =>
  [
    `union ${name} {`,
    '\tu32 word;',
    ...(table
      ? [
          '\tstruct {',
          ...table.fields.map(({ name: field, width, pad }) => `\t\tunsigned ${pad ? '' : field}:${width};`),
          '\t};',
        ]
      : []),
    '};',
  ].join('\n');

export interface FakeCommit {
  readonly subject: string;
  readonly author: string;
  readonly authorDate: string;
}

/** Every commit of the facts as the facts have it; the dates are those of the facts, at noon. */
export function commitsAsSaid(): Record<string, FakeCommit> {
  const commits: Record<string, FakeCommit> = {};
  const { eras: records, milestones } = loadFacts();
  const add = (sha: string | null, subject: string | null, author: string | null, date: string | null): void => {
    if (sha !== null)
      commits[sha] = { subject: subject ?? '', author: author ?? '', authorDate: `${day(date)}T12:00:00+00:00` };
  };
  for (const { sha, subject, author, author_date } of milestones.milestones) add(sha, subject, author, author_date);
  for (const { revision, subject, author, date } of records) add(revision, subject, author, date);
  return commits;
}

const day = (date: string | null): string => `${date ?? '2000-01-01'}-15`.slice(0, 10);

/** A source in memory. What is not in it is missing, with a command that would fetch it. */
export function fakeSource(
  files: Readonly<Record<string, Readonly<Record<string, string>>>>,
  commits: Readonly<Record<string, FakeCommit>> = {},
): KernelSource {
  const missing = (revision: string) =>
    ({ kind: 'unreadable', why: `no commit ${revision}`, fetch: `git fetch ${revision}` }) as const;
  return {
    name: 'a fake',
    listFiles: async (revision) => (files[revision] ? new Set(Object.keys(files[revision])) : missing(revision)),
    readFile: async (revision, path) => files[revision]![path]!,
    commitInfo: async (revision) => (commits[revision] ? { kind: 'commit', ...commits[revision] } : missing(revision)),
  };
}
