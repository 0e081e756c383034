// SPDX-License-Identifier: GPL-2.0-only
/** The TLB, paging-structure caches and accesses of src/sim/core/ in plain TypeScript: lists in order of use, and no flushes. */
import { ACCESS, PTE, RIGHTS } from '../../../src/sim/paging-bits.ts';
import type { PagingStructureShape } from '../../../src/sim/paging-structure-caches.ts';
import type { TlbShape } from '../../../src/sim/tlb.ts';
import { FAULT } from '../../../src/sim/walk-result.ts';
import type { Geometry } from '../../../src/sim/ways.ts';
import { keyFaultOf, type ReferenceWalker } from './walker.ts';

interface Entry<T> {
  readonly key: bigint;
  readonly kind: string;
  readonly value: T;
}

/** A set-associative structure; each set is a list from the entry used longest ago to the one used last. */
class ReferenceWays<T> {
  readonly #sets: Entry<T>[][];
  readonly #ways: number;

  constructor({ sets, ways }: Geometry) {
    this.#sets = Array.from({ length: sets }, () => []);
    this.#ways = ways;
  }

  find(key: bigint, kind: string): T | undefined {
    return this.#setOf(key).find((entry) => entry.key === key && entry.kind === kind)?.value;
  }

  /** Keeps a value as the one used last. */
  put(key: bigint, kind: string, value: T): void {
    const set = this.#setOf(key);
    const at = set.findIndex((entry) => entry.key === key && entry.kind === kind);
    if (at >= 0) set.splice(at, 1);
    else if (set.length === this.#ways) set.shift();
    set.push({ key, kind, value });
  }

  #setOf(key: bigint): Entry<T>[] {
    return this.#sets[Number(key % BigInt(this.#sets.length))]!;
  }
}

/** Bits 56:0 of an address. */
const addressBits = (lo: number, hi: number): bigint => (BigInt(hi & 0x1ffffff) << 32n) | BigInt(lo >>> 0);

interface Pointer {
  readonly frame: number;
  readonly low: number;
  readonly high: number;
}

export class ReferenceCaches {
  hits = 0;
  hitFrame = 0;
  hitLow = 0;
  hitHigh = 0;
  readonly #levels: readonly (ReferenceWays<Pointer> | null)[];

  constructor({ level2, level3, level4, level5 }: PagingStructureShape) {
    this.#levels = [undefined, undefined, level2, level3, level4, level5].map((g) => (g ? new ReferenceWays(g) : null));
  }

  lookup(lo: number, hi: number, levels: number): number {
    for (let level = 2; level <= levels; level++) {
      const key = prefixOf(lo, hi, level);
      const found = this.#levels[level]?.find(key, '');
      if (found === undefined) continue;
      this.#levels[level]!.put(key, '', found);
      this.hits++;
      ({ frame: this.hitFrame, low: this.hitLow, high: this.hitHigh } = found);
      return level;
    }
    return 0;
  }

  fill(lo: number, hi: number, level: number, frame: number, low: number, high: number): void {
    this.#levels[level]?.put(prefixOf(lo, hi, level), '', { frame, low: low & 7, high: high & 0x80000000 });
  }
}

/** Address bits from the index of `level` up. */
const prefixOf = (lo: number, hi: number, level: number): bigint => addressBits(lo, hi) >> BigInt(3 + 9 * level);

interface Translation {
  readonly firstFrame: number;
  readonly rights: number;
  readonly dirty: number;
  readonly key: number;
}

/** A CPU without a kernel: what Translator.access must do. */
export class ReferenceTranslator {
  frame = 0;
  readonly counts = { walks: 0, faults: 0, reads: 0, nestedReads: 0, marks: 0, l1: 0, l2: 0, misses: 0 };
  readonly #walker: ReferenceWalker;
  readonly #levels: readonly ReferenceWays<Translation>[];
  readonly #shifts: readonly number[];

  constructor({ l1, l2, pageShifts }: TlbShape, walker: ReferenceWalker) {
    this.#levels = [l1, ...(l2 === null ? [] : [l2])].map((geometry) => new ReferenceWays(geometry));
    this.#shifts = pageShifts;
    this.#walker = walker;
  }

  access(lo: number, hi: number, access: number): number {
    const { counts } = this;
    const walker = this.#walker;
    if (walker.isCanonical(hi)) {
      if (this.#lookup(lo, hi, access)) return FAULT.NONE;
      counts.misses++;
    }
    const fault = walker.walk(lo, hi, access);
    const { result } = walker;
    counts.walks++;
    counts.reads += result.reads;
    counts.nestedReads += result.nestedReads;
    counts.marks += result.marks;
    if (fault === FAULT.NONE) {
      this.frame = result.hostFrame;
      this.#fill(lo, hi);
    } else counts.faults++;
    return fault;
  }

  /** Small pages in the first level, then page sizes in both. */
  #lookup(lo: number, hi: number, access: number): boolean {
    const [first, second] = this.#levels;
    const places = this.#shifts.flatMap((shift) => [
      { ways: first!, shift },
      ...(second === undefined ? [] : [{ ways: second, shift }]),
    ]);
    for (const { ways, shift } of places) {
      for (const kind of [`${shift}`, `${shift} global`]) {
        const key = addressBits(lo, hi) >> BigInt(shift);
        const found = ways.find(key, kind);
        if (found === undefined) continue;
        if (this.#allows(found, access)) {
          this.counts[ways === first ? 'l1' : 'l2']++;
          ways.put(key, kind, found);
          if (ways !== first) first!.put(key, kind, found);
          this.frame = found.firstFrame + pageWithin(lo, shift);
          return true;
        }
        break;
      }
    }
    return false;
  }

  #allows({ rights, dirty, key }: Translation, access: number): boolean {
    const walker = this.#walker;
    if ((access & ACCESS.WRITE) !== 0 && dirty === 0) return false;
    if (walker.rules[access * 8 + (rights & RIGHTS.ALL)] !== 0) return false;
    return keyFaultOf(walker, access, rights, key) === 0;
  }

  #fill(lo: number, hi: number): void {
    const { readable, pageShift, hostFrame, rights, dirty, key, flags } = this.#walker.result;
    if (readable === 0) return;
    const shift = [...this.#shifts].reverse().find((each) => each <= pageShift)!;
    const kind = (flags & PTE.G) !== 0 ? `${shift} global` : `${shift}`;
    const translation = { firstFrame: hostFrame - pageWithin(lo, shift), rights, dirty, key };
    for (const ways of this.#levels) ways.put(addressBits(lo, hi) >> BigInt(shift), kind, translation);
  }
}

/** Number of the small page within a page of 2 ** shift bytes. */
const pageWithin = (lo: number, shift: number): number => (lo >>> 12) & ((1 << (shift - 12)) - 1);
