// SPDX-License-Identifier: GPL-2.0-only

/** Geometry of a set-associative structure; `sets` is a power of two. */
export interface Geometry {
  readonly sets: number;
  readonly ways: number;
}

/** Words of one entry in `TlbLevel.entries`: page number, context, frame (low 32 bits), flags. */
export const ENTRY = { KEY: 0, TAG: 1, FRAME: 2, FLAGS: 3 } as const;
/** Entry n begins at word n << ENTRY_SHIFT. */
export const ENTRY_SHIFT = 2;

const { TAG, FRAME, FLAGS } = ENTRY;
const SHIFT = ENTRY_SHIFT;
const NOTHING = -1;
/** Sets of so many ways are searched, larger ones hashed: a hash costs more to keep than so few compares. */
const FEW_WAYS = 4;
/** Generations and page-size classes stand from here on in tags (src/sim/tlb.ts). */
export const TAG_HASH_SHIFT = 13;
const HASH_SHIFT = TAG_HASH_SHIFT;

/**
 * Entries of one set-associative structure in flat arrays; way w of set s is entry s * ways + w. An entry matches when
 * both its key (low bits of the page number) and its tag (context and high bits) do. Tag 0 matches nothing.
 *
 * Hardware compares all ways of a set at once. Here the ways of a small set are compared one by one, and above FEW_WAYS a
 * hash over all entries finds the one that can match, so that the set decides only over replacement. True LRU: every use
 * stamps an entry with a clock, kept as `clock << wayBits | way`, so that the smallest stamp of a set names the way to
 * replace.
 */
export class TlbLevel {
  readonly sets: number;
  readonly ways: number;
  /** Four words an entry, see ENTRY. */
  readonly entries: Int32Array;
  /** Counts uses, for LRU. */
  clock = 0;
  /** By entry: clock of the last use, and the way below it. */
  readonly stamps: Int32Array;
  readonly wayBits: number;
  /** Clocks stay below this. */
  readonly clockEnd: number;
  /** First entry of each hash bucket, and the next one after each entry; negative at the end. */
  readonly first: Int16Array;
  readonly next: Int16Array;
  readonly bucketMask: number;
  /** Whether there is a hash: `first`, `next` and `bucketMask` mean nothing otherwise. */
  readonly hashed: boolean;
  readonly #size: number;

  constructor({ sets, ways }: Geometry) {
    const size = sets * ways;
    if (sets < 1 || (sets & (sets - 1)) !== 0 || ways < 1 || size > 2 ** 14) {
      throw new Error(`tlb: ${sets} sets of ${ways} ways`);
    }
    this.sets = sets;
    this.ways = ways;
    this.hashed = ways > FEW_WAYS;
    this.#size = size;
    this.entries = new Int32Array(size << SHIFT);
    this.wayBits = 32 - Math.clz32(ways - 1);
    this.clockEnd = 1 << (30 - this.wayBits);
    this.stamps = new Int32Array(size);
    // Two to four buckets an entry: chains of more than one are rare.
    const buckets = 1 << (33 - Math.clz32(size));
    this.bucketMask = buckets - 1;
    this.first = new Int16Array(buckets);
    this.next = new Int16Array(size);
    this.clear();
  }

  /** Number of the entry with this key and tag, -1 when there is none. */
  find(key: number, tag: number): number {
    const { entries } = this;
    if (!this.hashed) return this.#search(key, tag);
    let at = this.first[(key ^ (tag >>> HASH_SHIFT)) & this.bucketMask]!;
    while (at >= 0 && (entries[at << SHIFT] !== key || entries[(at << SHIFT) | TAG] !== tag)) at = this.next[at]!;
    return at;
  }

  /** Stamps an entry as the one used last. */
  use(at: number): void {
    const wayBits = this.wayBits;
    const clock = this.clock + 1;
    this.clock = clock;
    this.stamps[at] = (clock << wayBits) | (this.stamps[at]! & ((1 << wayBits) - 1));
    if (clock >= this.clockEnd) this.#renumber();
  }

  /** Writes an entry and stamps it: in place of the one with this key and tag, else of the set's least recently used. */
  put(key: number, tag: number, frame: number, flags: number): void {
    const at = this.find(key, tag);
    if (at < 0) this.add(key, tag, frame, flags);
    else {
      this.entries[(at << SHIFT) | FRAME] = frame;
      this.entries[(at << SHIFT) | FLAGS] = flags;
      this.use(at);
    }
  }

  /** As `put`, for a key and tag that no entry has. */
  add(key: number, tag: number, frame: number, flags: number): void {
    const { entries } = this;
    const at = this.#victim(key);
    if (this.hashed) {
      if (entries[(at << SHIFT) | TAG] !== 0) this.#unlink(at);
      const bucket = this.#bucket(key, tag);
      this.next[at] = this.first[bucket]!;
      this.first[bucket] = at;
    }
    entries[at << SHIFT] = key;
    entries[(at << SHIFT) | TAG] = tag;
    entries[(at << SHIFT) | FRAME] = frame;
    entries[(at << SHIFT) | FLAGS] = flags;
    this.use(at);
  }

  /** Frees one entry, so that it is replaced first. */
  drop(at: number): void {
    if (this.hashed) this.#unlink(at);
    this.entries[(at << SHIFT) | TAG] = 0;
    this.stamps[at] = this.stamps[at]! & ((1 << this.wayBits) - 1);
  }

  /** Takes over every entry and its age from a structure of the same shape. */
  copyFrom(other: TlbLevel): void {
    this.entries.set(other.entries);
    this.stamps.set(other.stamps);
    this.clock = other.clock;
    this.first.set(other.first);
    this.next.set(other.next);
  }

  /** Frees every entry. */
  clear(): void {
    this.entries.fill(0);
    this.first.fill(NOTHING);
    this.next.fill(NOTHING);
    for (let at = 0; at < this.#size; at++) this.stamps[at] = at % this.ways;
  }

  #search(key: number, tag: number): number {
    const { entries, ways } = this;
    const first = Math.imul(key & (this.sets - 1), ways);
    for (let at = first; at < first + ways; at++) {
      if (entries[at << SHIFT] === key && entries[(at << SHIFT) | TAG] === tag) return at;
    }
    return NOTHING;
  }

  /** Hash bucket of a key and tag. */
  #bucket(key: number, tag: number): number {
    return (key ^ (tag >>> HASH_SHIFT)) & this.bucketMask;
  }

  #victim(key: number): number {
    const stamps = this.stamps;
    const { ways } = this;
    const first = Math.imul(key & (this.sets - 1), ways);
    const last = (first + ways - 1) | 0;
    // The smaller of two without a branch, which no predictor would guess: stamps are never negative. From both ends, so
    // that one does not wait for the other.
    let least = stamps[first]!;
    let other = stamps[last]!;
    let up = (first + 1) | 0;
    let down = (last - 1) | 0;
    while (up <= down) {
      const a = (stamps[up]! - least) | 0;
      const b = (stamps[down]! - other) | 0;
      least = (least + (a & (a >> 31))) | 0;
      other = (other + (b & (b >> 31))) | 0;
      up = (up + 1) | 0;
      down = (down - 1) | 0;
    }
    const difference = (other - least) | 0;
    return first + ((least + (difference & (difference >> 31))) & ((1 << this.wayBits) - 1));
  }

  /** Takes an entry out of its bucket. */
  #unlink(at: number): void {
    const { entries } = this;
    const bucket = this.#bucket(entries[at << SHIFT]!, entries[(at << SHIFT) | TAG]!);
    let before = this.first[bucket]!;
    if (before === at) {
      this.first[bucket] = this.next[at]!;
      return;
    }
    while (this.next[before] !== at) before = this.next[before]!;
    this.next[before] = this.next[at]!;
  }

  /** Replaces the clocks by their ranks before they overflow. Order stays; free entries stay free. */
  #renumber(): void {
    const wayMask = (1 << this.wayBits) - 1;
    const used = Array.from(this.stamps.keys()).filter((at) => this.stamps[at]! > wayMask);
    used.sort((a, b) => this.stamps[a]! - this.stamps[b]!);
    used.forEach((at, rank) => {
      this.stamps[at] = ((rank + 1) << this.wayBits) | (this.stamps[at]! & wayMask);
    });
    this.clock = used.length;
  }
}
