// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import type { CellResult } from './cell.ts';
import { cellOf, cellText, type SweepHeader } from './header.ts';
import { cellsOfShard, type Shard, shardText } from './shard.ts';
import type { CellStore } from './store.ts';

/** A shard's results as JSON lines: the header, then its cells in order. */
export function* sweepLines(header: SweepHeader, shard: Shard, store: CellStore): Generator<string> {
  yield headerLine(header, shard);
  for (const number of cellsOfShard(shard, header.cells)) {
    const cell = cellOf(header, number);
    const result = store.get(cell.key);
    if (result === null) {
      throw new UserError({
        place: store.folder,
        found: `cell ${number} (${cellText(cell)}) went away while the sweep ran`,
        expected: 'a folder that nobody clears meanwhile',
        suggestion: 'the same command again',
      });
    }
    yield cellLine(header, number, result);
  }
}

export const headerLine = (header: SweepHeader, shard: Shard): string =>
  `${JSON.stringify({ ...header, shard: shardText(shard) })}\n`;

/** Every line has every column, so that SQL finds them whatever the first lines hold. */
const nothing = { unavailable: null, executed: null, total: null, stopped: null, notInEra: [] } as const;

const cellLine = (header: SweepHeader, cell: number, result: CellResult): string =>
  `${JSON.stringify({ ...cellOf(header, cell), ...nothing, ...result })}\n`;

/** The cells of a shard as text, one a line, with what is kept already: for people who want to see before they run. */
export function* planLines(header: SweepHeader, shard: Shard, store: CellStore): Generator<string> {
  for (const number of cellsOfShard(shard, header.cells)) {
    const cell = cellOf(header, number);
    yield `${number}: ${cellText(cell)}${store.get(cell.key) === null ? '' : ' (finished)'}\n`;
  }
}
