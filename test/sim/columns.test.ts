// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { powerOf2, wordOf } from '../../src/sim/address-parts.ts';
import { Tally } from '../../src/sim/counters.ts';
import { EntryColumn } from '../../src/sim/entry-column.ts';
import { FrameTable } from '../../src/sim/frame-table.ts';

describe('a column of entries', () => {
  test('has no number where none was set, and keeps what was, beyond its first size too', () => {
    const column = new EntryColumn();
    const far = 70_000 * 512 + 511;
    expect(column.get(far)).toBe(-1);
    column.set(3, 0);
    column.set(far, 15);
    column.set(far - 1, 7);
    expect([2, 3, far - 1, far, far + 1].map((entry) => column.get(entry))).toEqual([-1, 0, 7, 15, -1]);
  });
});

describe('a tally', () => {
  test('counts as a map does, with more keys than it has slots, in the order in which they first came', () => {
    const tally = new Tally();
    const expected = new Map<number, number>();
    for (let i = 0; i < 5000; i++) {
      const key = ((i * 7919) % 311) * (i % 3 === 0 ? 0x0101_0101 : 1);
      tally.add(key);
      expected.set(key, (expected.get(key) ?? 0) + 1);
      if (i === 2500) expect([...tally.counts]).toEqual([...expected]);
    }
    expect([...tally.counts]).toEqual([...expected]);
    expect(tally.sorted()).toEqual([...expected].sort(([a], [b]) => a - b));
  });

  test('takes error codes of more than 32 bits', () => {
    const tally = new Tally();
    for (const key of [2 ** 33 + 7, 7, 2 ** 32 + 7, 2 ** 33 + 7]) tally.add(key);
    expect(tally.sorted()).toEqual([
      [7, 1],
      [2 ** 32 + 7, 1],
      [2 ** 33 + 7, 2],
    ]);
  });
});

describe('a table by frame', () => {
  test('tells frames on both sides of its dense part apart', () => {
    const table = new FrameTable();
    const frames = [0, 511, 512, 2 ** 20, 2 ** 28 - 1, 2 ** 28, 2 ** 28 + 511, 2 ** 32 + 5, 2 ** 39 + 512];
    for (const frame of frames) expect(table.get(frame)).toBe(0);
    frames.forEach((frame, i) => {
      table.put(frame, i + 1);
    });
    expect(frames.map((frame) => table.get(frame))).toEqual(frames.map((_, i) => i + 1));
    expect([1, 2 ** 28 + 1, 5, 2 ** 39].map((frame) => table.get(frame))).toEqual([0, 0, 0, 0]);
  });
});

describe('parts of addresses', () => {
  test('a word is 1024 words for each slot before, and one for each four bytes', () => {
    expect([wordOf(0, 0), wordOf(1, 4092), wordOf(5, 8)]).toEqual([0, 2047, 5122]);
  });

  test('powers of two', () => {
    expect([0, 31, 32, 46, 57, 64].map(powerOf2)).toEqual([
      1,
      0x8000_0000,
      0x1_0000_0000,
      0x4000_0000_0000,
      0x200_0000_0000_0000,
      0x1_0000_0000 * 0x1_0000_0000,
    ]);
  });
});
