// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';

/** Share `index` (from 1) of `count` equal ones. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** `i/n`. UserError for anything else, from `place`. */
export function parseShard(text: string, place = '--shard'): Shard {
  const match = /^(\d{1,9})\/(\d{1,9})$/.exec(text);
  const [index, count] = match ? [Number(match[1]), Number(match[2])] : [0, 0];
  if (index >= 1 && index <= count) return { index, count };
  throw new UserError({ place, found: text, expected: 'i/n with 1 ≤ i ≤ n, as 2/8' });
}

export const shardText = ({ index, count }: Shard): string => `${index}/${count}`;

/** Every n-th cell, so that shards are alike in work though workloads are not. */
export function* cellsOfShard({ index, count }: Shard, cells: number): Generator<number> {
  for (let cell = index - 1; cell < cells; cell += count) yield cell;
}

/** Whether a cell's number belongs to the shard. */
export const isInShard = (cell: number, { index, count }: Shard): boolean => cell % count === index - 1;
