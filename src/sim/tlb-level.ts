// SPDX-License-Identifier: GPL-2.0-only

/** Geometry of a set-associative structure; `sets` is a power of two. */
export interface Geometry {
  readonly sets: number;
  readonly ways: number;
}

/**
 * Entries of one set-associative structure as flat arrays; way w of set s stands at s * ways + w. An entry matches when
 * both `key` (low bits of the page number) and `tag` (context and high bits) do. Tag 0 matches nothing.
 */
export class TlbLevel {
  readonly sets: number;
  readonly ways: number;
  readonly key: Int32Array;
  readonly tag: Int32Array;
  /** Low 32 bits of the frame. */
  readonly frame: Int32Array;
  readonly flags: Int32Array;
  /** Clock of the last use: the smallest of a set is replaced. 0 when free. */
  readonly used: Int32Array;

  constructor({ sets, ways }: Geometry) {
    if (sets < 1 || (sets & (sets - 1)) !== 0 || ways < 1) throw new Error(`tlb: ${sets} sets of ${ways} ways`);
    this.sets = sets;
    this.ways = ways;
    this.key = new Int32Array(sets * ways);
    this.tag = new Int32Array(sets * ways);
    this.frame = new Int32Array(sets * ways);
    this.flags = new Int32Array(sets * ways);
    this.used = new Int32Array(sets * ways);
  }

  /** Index of the entry with this key and one of two tags, -1 when there is none. */
  find(key: number, tag: number, otherTag: number): number {
    const first = (key & (this.sets - 1)) * this.ways;
    for (let i = first; i < first + this.ways; i++) {
      if (this.key[i] === key && (this.tag[i] === tag || this.tag[i] === otherTag)) return i;
    }
    return -1;
  }

  /** Index of the least recently used entry of the key's set. */
  victim(key: number): number {
    const first = (key & (this.sets - 1)) * this.ways;
    let oldest = first;
    for (let i = first + 1; i < first + this.ways; i++) if (this.used[i]! < this.used[oldest]!) oldest = i;
    return oldest;
  }

  /** Frees one entry, so that it is replaced first. */
  drop(index: number): void {
    this.tag[index] = 0;
    this.used[index] = 0;
  }

  /** Frees every entry. */
  clear(): void {
    this.tag.fill(0);
    this.used.fill(0);
  }

  /** Replaces the clocks by their ranks, from 1, before the clock overflows. Order stays, and free entries stay 0. */
  compactClocks(): void {
    const order = Array.from(this.used.keys()).filter((i) => this.used[i] !== 0);
    order.sort((a, b) => this.used[a]! - this.used[b]!);
    order.forEach((index, rank) => {
      this.used[index] = rank + 1;
    });
  }
}
