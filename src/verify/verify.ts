// SPDX-License-Identifier: GPL-2.0-only
import { eras as ports } from '../../snapshots/all.ts';
import { type Citation, citedByPort, citedByUses, type EraRecord } from '../facts/index.ts';
import type { Layout } from '../role/layout.ts';
import { checkCitation, subjectOf } from './citation-check.ts';
import { checkCommit } from './commit-check.ts';
import { commitOfEra, commitsOfFacts } from './commit-facts.ts';
import { CFiles } from './files.ts';
import { unchecked } from './findings.ts';
import { checkContainer, checkUnion } from './layouts.ts';
import type { EraFindings, Finding, Verification } from './model.ts';
import { type Revisions, revisionsAt } from './revisions.ts';
import type { KernelSource } from './source.ts';

export interface VerifyOptions {
  readonly eras: readonly EraRecord[];
  /** Era id → the revision to read instead of the era's own. */
  readonly at: ReadonlyMap<string, string>;
  /** Also the milestones, the changes of role bits and the landed patches, which belong to no era. */
  readonly milestones: boolean;
}

/** Our facts about some eras against the real source: layouts, cited places, commits. Eras one after the other. */
export async function verify(source: KernelSource, { eras, at, milestones }: VerifyOptions): Promise<Verification> {
  const revisions = revisionsAt(at);
  const files = new CFiles(source);
  const found: EraFindings[] = [];
  for (const era of eras) {
    const findings = [
      ...(await layoutsOf(era, revisions, files)),
      ...(await commitOf(era, at, source)),
      ...(await citationsOf(era, revisions, files)),
    ];
    found.push({ era: era.id, at: at.get(era.id) ?? null, findings });
  }
  if (milestones) {
    const findings: Finding[] = [];
    for (const fact of commitsOfFacts()) findings.push(await checkCommit(fact, source));
    found.push({ era: 'milestones', at: null, findings });
  }
  return { source: source.name, eras: found };
}

async function layoutsOf(era: EraRecord, revisions: Revisions, files: CFiles): Promise<Finding[]> {
  const { page, extended } = layoutsOfPort(era.id);
  // An anchor is a commit or release; only what a series added has none.
  const revision = revisions.of(era, revisions.anchor(era))!;
  const place = `snapshots/${era.snapshot}/role.ts`;
  const findings = [await checkUnion('kvm_mmu_page_role', page, { revision, place }, files)];
  if (era.words.ext !== null) {
    findings.push(await checkUnion('kvm_mmu_extended_role', extended, { revision, place }, files));
    findings.push(await checkContainer({ revision, place }, files));
  }
  return findings;
}

function layoutsOfPort(id: string): { readonly page: Layout; readonly extended: Layout | null } {
  const port = ports.find((one) => one.id === id);
  if (!port) throw new Error(`era ${id} has facts but no port`);
  return port.layouts;
}

async function commitOf(era: EraRecord, at: ReadonlyMap<string, string>, source: KernelSource): Promise<Finding[]> {
  const fact = commitOfEra(era);
  if (!fact) return [];
  const instead = at.get(era.id);
  if (instead === undefined) return [await checkCommit(fact, source)];
  const subject = { kind: 'commit', what: `commit ${fact.revision}`, revision: instead, places: fact.places } as const;
  return [unchecked(subject, `${instead} stands for it (--at), which need not have its message`)];
}

/** What the port and the table of uses cite; the same place cited twice is looked up once. */
async function citationsOf(era: EraRecord, revisions: Revisions, files: CFiles): Promise<Finding[]> {
  const byPlace = new Map<string, Finding>();
  const neverMerged: Finding[] = [];
  for (const citation of citedBy(era)) {
    const revision = revisions.of(era, citation.revision);
    if (revision === null) {
      neverMerged.push(unchecked(subjectOf(citation, era.id), noTreeHas(era.id)));
      continue;
    }
    const { path, symbol, line, about, at } = citation;
    const key = JSON.stringify([revision, path, symbol, line, about]);
    const known = byPlace.get(key);
    const instead = revision !== revisions.usual(era, citation.revision);
    const finding = known ?? (await checkCitation(citation, { revision, instead }, files));
    byPlace.set(key, known ? { ...known, places: [...known.places, at] } : finding);
  }
  return [...byPlace.values(), ...neverMerged];
}

const citedBy = (era: EraRecord): Citation[] => [
  ...(era.snapshot === null ? [] : citedByPort(era.snapshot)),
  ...citedByUses(era.id),
];

const noTreeHas = (era: string): string =>
  `${era} was never merged, so no kernel has what it added; --at ${era}=REV reads a branch with the series`;
