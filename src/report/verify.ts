// SPDX-License-Identifier: GPL-2.0-only
import type { EraFindings, Finding, Outcome, Verification } from '../verify/model.ts';
import { type Cell, textTable } from './table.ts';

const kinds = ['layout', 'citation', 'commit'] as const;
const outcomes: readonly Outcome[] = ['agreed', 'differs', 'unchecked'];
const words = { agreed: 'agreed', differs: 'differs', unchecked: 'could not check' } as const;

/** A table of counts, then every difference with both places, then why some facts could not be checked, and a summary. */
export function verifyText({ source, eras }: Verification): string {
  const rows = eras.flatMap(({ era, at, findings }) =>
    kinds
      .map((kind) => ({ kind, found: findings.filter((finding) => finding.kind === kind) }))
      .filter(({ found }) => found.length > 0)
      .map(({ kind, found }): Cell[] => [at === null ? era : `${era} at ${at}`, kind, ...outcomes.map(countIn(found))]),
  );
  const all = eras.flatMap(({ findings }) => findings);
  const total = outcomes.map((outcome) => `${countIn(all)(outcome)} ${words[outcome]}`).join(', ');
  return [
    `Facts against ${source}`,
    '',
    textTable(['era', 'what', ...outcomes.map((outcome) => words[outcome])], rows),
    ...section('Differences', eras.flatMap(differences)),
    ...section('Could not check', obstacles(eras)),
    '',
    total,
    '',
  ].join('\n');
}

const countIn =
  (findings: readonly Finding[]) =>
  (outcome: Outcome): number =>
    findings.filter((finding) => finding.outcome === outcome).length;

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', title, '', ...lines];

function differences({ era, findings }: EraFindings): string[] {
  return findings
    .filter(({ outcome }) => outcome === 'differs')
    .flatMap((finding) => [
      `${era}: ${finding.what} at ${short(finding.revision)}`,
      ...finding.differences.map((difference) => `    ${difference}`),
      ...finding.places.map((place) => `    said in ${place}`),
    ]);
}

/** One line for each reason, with how many facts wait for it; reasons that one command mends stand above that command. */
function obstacles(eras: readonly EraFindings[]): string[] {
  const byCommand = new Map<string | null, Map<string, { count: number; readonly eras: Set<string> }>>();
  for (const { era, findings } of eras) {
    for (const { outcome, why, fetch } of findings) {
      if (outcome !== 'unchecked') continue;
      const reasons = byCommand.get(fetch) ?? new Map<string, { count: number; eras: Set<string> }>();
      byCommand.set(fetch, reasons);
      const reason = reasons.get(why!) ?? { count: 0, eras: new Set<string>() };
      reasons.set(why!, reason);
      reason.count += 1;
      reason.eras.add(era);
    }
  }
  return [...byCommand].flatMap(([fetch, reasons]) => [
    ...[...reasons].map(
      ([why, { count, eras: waiting }]) =>
        `${why}: ${count} ${count === 1 ? 'fact' : 'facts'} of ${[...waiting].join(', ')}`,
    ),
    ...(fetch === null ? [] : [`    ${fetch}`]),
  ]);
}

const short = (revision: string): string => revision.replace(/^([0-9a-f]{12})[0-9a-f]{28}/, '$1');

/** The same as one JSON document: every finding, agreed ones included. */
export const verifyJson = (verification: Verification): string => `${JSON.stringify(verification, null, 2)}\n`;
