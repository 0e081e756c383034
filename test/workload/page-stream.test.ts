// SPDX-License-Identifier: GPL-2.0-only
import { expect, test } from 'vitest';
import { mix32, PageStream, Random } from '../../src/workload/page-stream.ts';

const take = (stream: PageStream, count: number): number[] => Array.from({ length: count }, () => stream.next());

// Page numbers that a C program with the same generator wrote (uniform: seed 5, zipf: seed 4).
test('uniform and skewed pages are those of the C generator', () => {
  expect(take(new PageStream({ pages: 262144, distribution: 'uniform', seed: 5 }), 6)).toEqual([
    83043, 250013, 185618, 218013, 179880, 184667,
  ]);
  expect(take(new PageStream({ pages: 65536, distribution: 'zipf', seed: 4 }), 6)).toEqual([
    45332, 10185, 61940, 59375, 56664, 19947,
  ]);
});

test('seq counts through the pages and begins anew', () => {
  expect(take(new PageStream({ pages: 3, distribution: 'seq', seed: 1 }), 7)).toEqual([0, 1, 2, 0, 1, 2, 0]);
});

test('pages stay below their number, a power of two or not', () => {
  for (const distribution of ['uniform', 'zipf'] as const) {
    const pages = take(new PageStream({ pages: 37, distribution, seed: 9 }), 10_000);
    expect(Math.max(...pages)).toBeLessThan(37);
    expect(Math.min(...pages)).toBeGreaterThanOrEqual(0);
  }
});

// P(rank 0 of n) = P(u ** 4 * n < 1) = n ** -0.25: a quarter of all accesses to one of 256 pages.
test('zipf: the hottest page takes n ** -0.25 of the accesses', () => {
  const hits = new Map<number, number>();
  for (const page of take(new PageStream({ pages: 256, distribution: 'zipf', seed: 2 }), 100_000)) {
    hits.set(page, (hits.get(page) ?? 0) + 1);
  }
  const hottest = Math.max(...hits.values());
  expect(hits.get(mix32(0) % 256)).toBe(hottest);
  expect(hottest / 100_000).toBeCloseTo(0.25, 2);
});

test('a generator of zeros is refused', () => {
  expect(() => new Random(0x9e3779b9)).toThrow('zeros only');
});
