// SPDX-License-Identifier: GPL-2.0-only

/** Geometry of a set-associative structure; `sets` is a power of two. */
export interface Geometry {
  readonly sets: number;
  readonly ways: number;
}

/**
 * Words of one entry in `TlbLevel.entries`: page number, context, frame (low 32 bits), flags; stamp of the last use; and for
 * the queue of a set the stamp that it queues under and the entry behind it.
 */
export const ENTRY = { KEY: 0, TAG: 1, FRAME: 2, FLAGS: 3, STAMP: 4, QUEUED: 5, NEXT: 6 } as const;
/** Entry n begins at word n << ENTRY_SHIFT. */
export const ENTRY_SHIFT = 3;

const { TAG, FRAME, FLAGS, STAMP, QUEUED, NEXT } = ENTRY;
const SHIFT = ENTRY_SHIFT;
const NOTHING = -1;
/** Bits of a key that choose a hint: a constant, so that none has to keep it at hand. */
export const HINT_MASK = 4095;
const HINTS = HINT_MASK;

/**
 * Entries of one set-associative structure in flat arrays; way w of set s is entry s * ways + w. An entry matches when
 * both its key (low bits of the page number) and its tag (context and high bits) do. Tag 0 matches nothing.
 *
 * Hardware compares all ways of a set at once. Here most hits are where a hint by the key's low bits says, without a
 * search; it may be wrong. A search compares signatures, a byte of hash for each way and four in one word: a miss, which a
 * hint cannot tell, costs a few operations for four ways.
 *
 * True LRU: every use stamps an entry with a clock, kept as `clock << wayBits | way`, so that the smallest stamp of a set
 * names the way to replace. A queue saves the search for it, see `oldest`.
 *
 * All that belongs to an entry lies together, since each array costs checks of its own whenever it is used.
 */
export class TlbLevel {
  readonly sets: number;
  readonly ways: number;
  /** Eight words an entry, see ENTRY. */
  readonly entries: Int32Array;
  /** By set, `headWords` each: the last entry of its queue, then signatures, way w in byte w. */
  readonly heads: Int32Array;
  readonly headWords: number;
  /** By the low bits of a key: the entry where such a key was put last. */
  readonly hints: Uint16Array;
  /** Counts uses, for LRU. */
  clock = 0;
  readonly wayBits: number;
  /** Clocks stay below this. */
  readonly clockEnd: number;

  constructor({ sets, ways }: Geometry) {
    const size = sets * ways;
    if (sets < 1 || (sets & (sets - 1)) !== 0 || ways < 1 || size > 2 ** 14) {
      throw new Error(`tlb: ${sets} sets of ${ways} ways`);
    }
    this.sets = sets;
    this.ways = ways;
    this.entries = new Int32Array(size << SHIFT);
    this.headWords = 1 + ((ways + 3) >> 2);
    this.heads = new Int32Array(sets * this.headWords);
    this.hints = new Uint16Array(HINTS + 1);
    this.wayBits = 32 - Math.clz32(ways - 1);
    this.clockEnd = 1 << (30 - this.wayBits);
    this.clear();
  }

  /** Number of the entry with this key and tag, -1 when there is none. */
  find(key: number, tag: number): number {
    const { entries } = this;
    const hint = this.hints[key & HINTS]!;
    if (entries[hint << SHIFT] === key && entries[(hint << SHIFT) | TAG] === tag) return hint;
    return this.search(key, tag, signatures(key, tag));
  }

  /** As `find`, for a key whose hint was wrong; `wanted` are its signatures. */
  search(key: number, tag: number, wanted: number): number {
    const { entries, ways, heads } = this;
    const set = key & (this.sets - 1);
    const first = Math.imul(set, ways);
    let head = Math.imul(set, this.headWords);
    for (let way = 0; way < ways; way += 4) {
      head = (head + 1) | 0;
      let equal = equalBytes(heads[head]!, wanted);
      while (equal !== 0) {
        const bit = 31 - Math.clz32(equal);
        // A byte past the last way is that of no entry; the key then has the set of none there.
        const at = (first + way + (bit >> 3)) << SHIFT;
        if (at < entries.length && entries[at] === key && entries[at | TAG] === tag) return at >> SHIFT;
        equal ^= 1 << bit;
      }
    }
    return NOTHING;
  }

  /** Stamps an entry as the one used last. */
  use(at: number): void {
    const { wayBits, entries } = this;
    const clock = this.clock + 1;
    this.clock = clock;
    const stampAt = (at << SHIFT) | STAMP;
    entries[stampAt] = (clock << wayBits) | (entries[stampAt]! & ((1 << wayBits) - 1));
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

  /** As `put`, for a key and tag that no entry has. Returns the entry's number. */
  add(key: number, tag: number, frame: number, flags: number): number {
    const { entries, heads, ways, wayBits } = this;
    const set = key & (this.sets - 1);
    const first = Math.imul(set, ways);
    const head = Math.imul(set, this.headWords);
    const at = this.oldest(head);
    const way = (at - first) | 0;
    const clock = this.clock + 1;
    this.clock = clock;
    const stamp = (clock << wayBits) | way;
    const signatureAt = head + 1 + (way >> 2);
    heads[head] = at;
    heads[signatureAt] = withByte(heads[signatureAt]!, way, signatures(key, tag));
    this.hints[key & HINTS] = at;
    const entry = at << SHIFT;
    entries[entry] = key;
    entries[entry | TAG] = tag;
    entries[entry | FRAME] = frame;
    entries[entry | FLAGS] = flags;
    entries[entry | STAMP] = stamp;
    entries[entry | QUEUED] = stamp;
    if (clock >= this.clockEnd) this.#renumber();
    return at;
  }

  /** Frees one entry, so that it is replaced first. */
  drop(at: number): void {
    const { entries, heads } = this;
    const way = at % this.ways;
    const head = ((at - way) / this.ways) * this.headWords;
    const entry = at << SHIFT;
    entries[entry | TAG] = 0;
    entries[entry | STAMP] = way;
    entries[entry | QUEUED] = way;
    let before = at;
    while (entries[(before << SHIFT) | NEXT] !== at) before = entries[(before << SHIFT) | NEXT]!;
    if (heads[head] === at) heads[head] = before;
    entries[(before << SHIFT) | NEXT] = entries[entry | NEXT]!;
    this.#queueBehind(heads[head]!, at);
  }

  /** Takes over every entry and its age from a structure of the same shape. */
  copyFrom(other: TlbLevel): void {
    this.entries.set(other.entries);
    this.heads.set(other.heads);
    this.hints.set(other.hints);
    this.clock = other.clock;
  }

  /** Frees every entry. */
  clear(): void {
    const { entries, ways } = this;
    entries.fill(0);
    for (let set = 0; set < this.sets; set++) {
      const first = set * ways;
      for (let way = 0; way < ways; way++) {
        const entry = (first + way) << SHIFT;
        entries[entry | STAMP] = way;
        entries[entry | QUEUED] = way;
        entries[entry | NEXT] = first + way + 1;
      }
      entries[((first + ways - 1) << SHIFT) | NEXT] = first;
      this.heads[set * this.headWords] = first + ways - 1;
    }
  }

  /**
   * The entry of a set, by its place in `heads`, that was used longest ago: the first of a queue by the last use. A use, or a
   * replacement, does not move an entry in the queue, it only stamps it; so stamps are never older than what the queue goes
   * by, and the first one whose stamp is what it queues under is the oldest of all. Before it is found, those with newer
   * stamps go to where they belong.
   */
  oldest(head: number): number {
    const { entries, heads } = this;
    let at = entries[(heads[head]! << SHIFT) | NEXT]!;
    while (entries[(at << SHIFT) | STAMP] !== entries[(at << SHIFT) | QUEUED]) {
      this.#requeue(head, at);
      at = entries[(heads[head]! << SHIFT) | NEXT]!;
    }
    return at;
  }

  /** Moves the first of a queue behind all that queue under older stamps than its own now. */
  #requeue(head: number, at: number): void {
    const { entries, heads } = this;
    const last = heads[head]!;
    const stamp = entries[(at << SHIFT) | STAMP]!;
    entries[(at << SHIFT) | QUEUED] = stamp;
    entries[(last << SHIFT) | NEXT] = entries[(at << SHIFT) | NEXT]!;
    let before = last;
    for (;;) {
      const next = entries[(before << SHIFT) | NEXT]!;
      if (entries[(next << SHIFT) | QUEUED]! > stamp) break;
      before = next;
      if (before !== last) continue;
      heads[head] = at;
      break;
    }
    this.#queueBehind(before, at);
  }

  #queueBehind(before: number, at: number): void {
    const { entries } = this;
    entries[(at << SHIFT) | NEXT] = entries[(before << SHIFT) | NEXT]!;
    entries[(before << SHIFT) | NEXT] = at;
  }

  /** Replaces the clocks by their ranks before they overflow, and makes all queues anew. Order stays; free entries stay free. */
  #renumber(): void {
    const { entries, ways } = this;
    const stampOf = (at: number): number => entries[(at << SHIFT) | STAMP]!;
    const wayMask = (1 << this.wayBits) - 1;
    const all = Array.from({ length: this.sets * ways }, (_, at) => at);
    const used = all.filter((at) => stampOf(at) > wayMask).sort((a, b) => stampOf(a) - stampOf(b));
    used.forEach((at, rank) => {
      entries[(at << SHIFT) | STAMP] = ((rank + 1) << this.wayBits) | (stampOf(at) & wayMask);
    });
    this.clock = used.length;
    for (let set = 0; set < this.sets; set++) {
      const order = all.slice(set * ways, (set + 1) * ways).sort((a, b) => stampOf(a) - stampOf(b));
      order.forEach((at, i) => {
        entries[(at << SHIFT) | QUEUED] = stampOf(at);
        entries[(at << SHIFT) | NEXT] = order[(i + 1) % ways]!;
      });
      this.heads[set * this.headWords] = order[ways - 1]!;
    }
  }
}

/** The signature of a key and tag, in all four bytes: bits above those that choose the set of a small structure, folded. */
export function signatures(key: number, tag: number): number {
  const signature = ((key >>> 4) ^ (key >>> 11) ^ (tag >>> 13)) & 0xff;
  const pair = signature | (signature << 8);
  return pair | (pair << 16);
}

/** The top bit of each byte that two words have alike, and of some above one that they have (Hacker's Delight 6-1). */
export const equalBytes = (a: number, b: number): number => ((a ^ b) - 0x01010101) & ~(a ^ b) & 0x80808080;

/** A word with one of its bytes, that of a way, taken from another word. */
export const withByte = (word: number, way: number, from: number): number =>
  word ^ ((word ^ from) & (0xff << ((way & 3) << 3)));
