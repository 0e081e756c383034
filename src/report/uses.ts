// SPDX-License-Identifier: GPL-2.0-only
import type { UseRow, UsesReport } from '../replay/uses.ts';
import { type Block, heading, table, text } from './document.ts';

/** When is which role word used: one table an era, as the ports really read them. */
export function usesDocument(reports: readonly UsesReport[]): Block[] {
  return reports.flatMap(({ era, workloads, rows }) => [
    heading(1, `Who reads which role word in ${era}`),
    text(`Counted over: ${workloads.join(', ')}.`),
    table(
      ['function', 'word', 'fields (times read)', 'why', 'upstream'],
      rows.map((row) => [
        row.function,
        row.word,
        fieldText(row),
        row.listed ? row.why : 'not in the table of this era',
        row.url,
      ]),
    ),
  ]);
}

const fieldText = ({ fields }: UseRow): string => fields.map(({ name, reads }) => `${name} (${reads})`).join(', ');

/** One field a line. */
export function usesCsv(reports: readonly UsesReport[]): string {
  const lines = reports.flatMap(({ era, rows }) =>
    rows.flatMap((row) =>
      row.fields.map(({ name, reads }) =>
        [era, row.function, row.word, name, String(reads), String(row.listed), row.why, row.url].map(csvCell).join(','),
      ),
    ),
  );
  return ['era,function,word,field,reads,listed,why,url', ...lines, ''].join('\n');
}

const csvCell = (value: string): string => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

export const usesJson = (reports: readonly UsesReport[]): string => `${JSON.stringify({ eras: reports }, null, 1)}\n`;
