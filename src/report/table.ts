// SPDX-License-Identifier: GPL-2.0-only
import Table from 'cli-table3';

export type Cell = string | number;

/** A plain table for terminals and pipes alike: no colour, no frame, numbers to the right. */
export function textTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const numeric = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  const table = new Table({
    head: [...head],
    chars: plainFrame,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    colAligns: numeric.map((isNumber) => (isNumber ? 'right' : 'left')),
  });
  table.push(...rows.map((row) => row.map(String)));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const plainFrame = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};
