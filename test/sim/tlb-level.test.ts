// SPDX-License-Identifier: GPL-2.0-only
/** Hints, signatures and queues against the plain idea: a list of each set, the entry used last in front. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENTRY, ENTRY_SHIFT, equalBytes, signatures, TlbLevel, withByte } from '../../src/sim/tlb-level.ts';

interface Entry {
  readonly key: number;
  readonly tag: number;
  frame: number;
}

class PlainLevel {
  readonly #sets: Entry[][];
  readonly #ways: number;

  constructor(sets: number, ways: number) {
    this.#sets = Array.from({ length: sets }, () => []);
    this.#ways = ways;
  }

  use(key: number, tag: number): number | undefined {
    const set = this.#setOf(key);
    const at = set.findIndex((entry) => entry.key === key && entry.tag === tag);
    if (at < 0) return undefined;
    const [entry] = set.splice(at, 1) as [Entry];
    set.unshift(entry);
    return entry.frame;
  }

  put(key: number, tag: number, frame: number): void {
    const set = this.#setOf(key);
    if (this.use(key, tag) !== undefined) set[0]!.frame = frame;
    else {
      set.unshift({ key, tag, frame });
      set.splice(this.#ways);
    }
  }

  drop(key: number, tag: number): void {
    const set = this.#setOf(key);
    const at = set.findIndex((entry) => entry.key === key && entry.tag === tag);
    if (at >= 0) set.splice(at, 1);
  }

  clear(): void {
    for (const set of this.#sets) set.length = 0;
  }

  #setOf(key: number): Entry[] {
    return this.#sets[key & (this.#sets.length - 1)]!;
  }
}

const geometry = fc.constantFrom(
  { sets: 1, ways: 1 },
  { sets: 2, ways: 3 },
  { sets: 2, ways: 4 },
  { sets: 1, ways: 6 },
  { sets: 2, ways: 12 },
);
const step = fc.record({
  op: fc.constantFrom('use', 'use', 'put', 'put', 'put', 'drop', 'renumber', 'clear'),
  // Keys that share hints, sets and signatures, and a few that share none.
  key: fc.oneof(
    fc.nat({ max: 40 }),
    fc.nat({ max: 40 }).map((n) => n << 11),
    fc.integer(),
  ),
  tag: fc.constantFrom(1, 1 << 13, -1 << 15),
  odds: fc.nat({ max: 15 }),
});

describe('one level of a TLB', () => {
  it('finds, replaces and forgets as lists do', () => {
    let replaced = 0;
    fc.assert(
      fc.property(geometry, fc.array(step, { minLength: 40, maxLength: 200 }), (shape, steps) => {
        const level = new TlbLevel(shape);
        const plain = new PlainLevel(shape.sets, shape.ways);
        steps.forEach(({ op, key, tag, odds }, i) => {
          if (op === 'put') {
            level.put(key, tag, i, 0);
            plain.put(key, tag, i);
          } else if (op === 'drop') {
            const at = level.find(key, tag);
            if (at >= 0) level.drop(at);
            plain.drop(key, tag);
          } else if (op === 'renumber') level.clock = Math.max(level.clock, level.clockEnd - 2 - odds);
          else if (op === 'clear' && odds === 0) {
            level.clear();
            plain.clear();
          }
          const at = level.find(key, tag);
          if (at >= 0) level.use(at);
          const frame = at < 0 ? undefined : level.entries[(at << ENTRY_SHIFT) | ENTRY.FRAME];
          expect(frame).toBe(plain.use(key, tag));
        });
        // Everything that was ever put is there or not alike: so all the same ones were replaced.
        for (const { key, tag } of steps) {
          const isThere = level.find(key, tag) >= 0;
          expect(isThere).toBe(plain.use(key, tag) !== undefined);
          if (!isThere) replaced++;
        }
      }),
      { numRuns: 600 },
    );
    expect(replaced).toBeGreaterThan(1000);
  });

  it('has signatures that find equal bytes at the lowest place at least', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat({ max: 3 }), fc.integer(), fc.integer(), (word, way, key, tag) => {
        const wanted = signatures(key, tag);
        const bytes = [0, 8, 16, 24].map((shift) => ((word >>> shift) & 0xff) === (wanted & 0xff));
        const found = equalBytes(word, wanted);
        expect(found !== 0).toBe(bytes.includes(true));
        for (const [at, isEqual] of bytes.entries()) if (isEqual) expect((found >>> (8 * at + 7)) & 1).toBe(1);
        const written = withByte(word, way, wanted);
        expect((written >>> (8 * way)) & 0xff).toBe(wanted & 0xff);
        expect((written ^ word) & ~(0xff << (8 * way))).toBe(0);
      }),
    );
  });
});
