// SPDX-License-Identifier: GPL-2.0-only
import Table from 'cli-table3';
import { csvLines } from '../../report/csv.ts';
import type { Output } from '../terminal.ts';

/** A table with a heading: what every tabular format is printed from. */
export interface Sheet {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Lines below the table, one a line. */
  readonly notes?: readonly string[];
}

const narrowest = 12;

/** Boxed tables; columns that would pass the width are wrapped, the widest first. */
export function sheetsAsText(sheets: readonly Sheet[], output: Output): string {
  return sheets
    .map(({ title, head, rows, notes }) => {
      const colWidths = columnWidths(head, rows, output.width);
      const oneLine = rows.every((row) =>
        row.every((cell, column) => longestLine(cell) === cell.length && cell.length + 2 <= colWidths[column]!),
      );
      const table = new Table({
        head: head.map((cell) => output.bold(cell)),
        colWidths,
        wordWrap: true,
        style: { head: [], border: [] },
        // Rules between rows help only where a row takes several lines.
        ...(oneLine ? { chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' } } : {}),
      });
      for (const row of rows) table.push([...row]);
      const parts = title === '' ? [] : [output.bold(title)];
      if (rows.length > 0) parts.push(oneLine ? withHeadRule(table.toString(), colWidths) : table.toString());
      return `${[...parts, ...(notes ?? [])].join('\n')}\n`;
    })
    .join('\n');
}

export function sheetsAsMarkdown(sheets: readonly Sheet[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', '<br>');
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return sheets
    .map(({ title, head, rows, notes }) => {
      const parts = title === '' ? [] : [`## ${title}`, ''];
      if (rows.length > 0) parts.push(line(head), line(head.map(() => '---')), ...rows.map(line));
      if (notes && notes.length > 0) parts.push('', ...notes.map((note) => `- ${note}`));
      return `${parts.join('\n')}\n`;
    })
    .join('\n');
}

/** RFC 4180, one header line. */
export function rowsAsCsv(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return csvLines([head, ...rows]);
}

export const asJson = (model: unknown): string => `${JSON.stringify(model, null, 2)}\n`;

/** The rule below the head, which goes with the rules between rows. */
function withHeadRule(table: string, widths: readonly number[]): string {
  const [top, head, ...rest] = table.split('\n') as [string, string, ...string[]];
  return [top, head, `├${widths.map((width) => '─'.repeat(width)).join('┼')}┤`, ...rest].join('\n');
}

/** Widths with one space on both sides of the text, as cli-table3 counts them. */
function columnWidths(head: readonly string[], rows: readonly (readonly string[])[], width: number): number[] {
  const widths = head.map(
    (title, column) => 2 + Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(longestLine)),
  );
  const borders = head.length + 1;
  let excess = widths.reduce((sum, one) => sum + one, borders) - width;
  while (excess > 0) {
    const widest = Math.max(...widths);
    if (widest <= narrowest) break;
    widths[widths.indexOf(widest)] = widest - 1;
    excess -= 1;
  }
  return widths;
}

const longestLine = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
