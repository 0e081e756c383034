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
/** Sets of so many ways are compared and ordered way by way; larger ones have signatures and a queue. */
const FEW_WAYS = 4;
/** 2 ** 32 over the golden ratio: spreads keys over all values of a signature. */
const SPREAD = 0x9e3779b1 | 0;
/** A one in each byte of a word, and the top bit of each. */
const ONES = 0x01010101;
const TOPS = 0x80808080 | 0;

/**
 * Entries of one set-associative structure in flat arrays; way w of set s is entry s * ways + w. An entry matches when
 * both its key (low bits of the page number) and its tag (context and high bits) do. Tag 0 matches nothing.
 *
 * Hardware compares all ways of a set at once. Here most hits are where a hint by the key's low bits says, without a
 * search; it may be wrong. After it, small sets are compared way by way, and larger ones by signatures, a byte of hash for
 * each way, four in one word: a miss, which a hint cannot tell, costs a few operations for four ways.
 *
 * True LRU: every use stamps an entry with a clock, kept as `clock << wayBits | way`, so that the smallest stamp of a set
 * names the way to replace. In larger sets a queue saves the search for it, see `#oldest`.
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
  /** By the low bits of a key: the entry where such a key was put last. */
  readonly hints: Uint16Array;
  readonly hintMask: number;
  /** By set, `signatureBytes` for each: hash of the key and tag of each way. The same memory as words. */
  readonly #signatures: Uint8Array;
  readonly #signatureWords: Int32Array;
  readonly #signatureBytes: number;
  /** By set: the end of its queue. By entry: the one behind it, behind the last one the first; stamp that it queues under. */
  readonly #last: Uint16Array;
  readonly #next: Uint16Array;
  readonly #queued: Int32Array;

  constructor({ sets, ways }: Geometry) {
    const size = sets * ways;
    if (sets < 1 || (sets & (sets - 1)) !== 0 || ways < 1 || size > 2 ** 14) {
      throw new Error(`tlb: ${sets} sets of ${ways} ways`);
    }
    this.sets = sets;
    this.ways = ways;
    this.entries = new Int32Array(size << SHIFT);
    this.wayBits = 32 - Math.clz32(ways - 1);
    this.clockEnd = 1 << (30 - this.wayBits);
    this.stamps = new Int32Array(size);
    // Two to four hints an entry: neighbours in the address space do not share one.
    this.hintMask = (1 << (33 - Math.clz32(size))) - 1;
    this.hints = new Uint16Array(this.hintMask + 1);
    this.#signatureBytes = (ways + 3) & ~3;
    this.#signatures = new Uint8Array(sets * this.#signatureBytes);
    this.#signatureWords = new Int32Array(this.#signatures.buffer);
    this.#last = new Uint16Array(sets);
    this.#next = new Uint16Array(size);
    this.#queued = new Int32Array(size);
    this.clear();
  }

  /** Number of the entry with this key and tag, -1 when there is none. */
  find(key: number, tag: number): number {
    const { entries } = this;
    const hint = this.hints[key & this.hintMask]!;
    if (entries[hint << SHIFT] === key && entries[(hint << SHIFT) | TAG] === tag) return hint;
    return this.search(key, tag);
  }

  /** As `find`, for a key whose hint was wrong. */
  search(key: number, tag: number): number {
    const { entries, ways } = this;
    const set = key & (this.sets - 1);
    const first = Math.imul(set, ways);
    if (ways <= FEW_WAYS) {
      for (let at = first; at < first + ways; at++) {
        if (entries[at << SHIFT] === key && entries[(at << SHIFT) | TAG] === tag) return at;
      }
      return NOTHING;
    }
    const words = this.#signatureWords;
    const wanted = Math.imul(signature(key, tag), ONES);
    const from = Math.imul(set, this.#signatureBytes) >> 2;
    for (let way = 0; way < ways; way += 4) {
      const different = words[from + (way >> 2)]! ^ wanted;
      // The top bit of each byte that is 0, and of some above one that is (Hacker's Delight 6-1).
      let equal = (different - ONES) & ~different & TOPS;
      while (equal !== 0) {
        const bit = 31 - Math.clz32(equal);
        const at = first + way + (bit >> 3);
        if (entries[at << SHIFT] === key && entries[(at << SHIFT) | TAG] === tag) return at;
        equal ^= 1 << bit;
      }
    }
    return NOTHING;
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
    const { entries, stamps, ways, wayBits } = this;
    const set = key & (this.sets - 1);
    const first = Math.imul(set, ways);
    const at = ways <= FEW_WAYS ? this.#leastOf(first) : this.#oldest(set);
    const clock = this.clock + 1;
    const stamp = (clock << wayBits) | (at - first);
    this.clock = clock;
    stamps[at] = stamp;
    if (ways > FEW_WAYS) {
      this.#last[set] = at;
      this.#queued[at] = stamp;
      this.#signatures[Math.imul(set, this.#signatureBytes) + (at - first)] = signature(key, tag);
    }
    this.hints[key & this.hintMask] = at;
    entries[at << SHIFT] = key;
    entries[(at << SHIFT) | TAG] = tag;
    entries[(at << SHIFT) | FRAME] = frame;
    entries[(at << SHIFT) | FLAGS] = flags;
    if (clock >= this.clockEnd) this.#renumber();
  }

  /** Frees one entry, so that it is replaced first. */
  drop(at: number): void {
    const way = at % this.ways;
    this.entries[(at << SHIFT) | TAG] = 0;
    this.stamps[at] = way;
    this.#queued[at] = way;
    const set = (at - way) / this.ways;
    const next = this.#next;
    let before = at;
    while (next[before] !== at) before = next[before]!;
    if (this.#last[set] === at) this.#last[set] = before;
    next[before] = next[at]!;
    this.#putBehind(this.#last[set]!, at);
  }

  /** Frees every entry. */
  clear(): void {
    const { ways, stamps } = this;
    this.entries.fill(0);
    for (let set = 0; set < this.sets; set++) {
      const first = set * ways;
      for (let way = 0; way < ways; way++) {
        stamps[first + way] = way;
        this.#next[first + way] = first + way + 1;
      }
      this.#last[set] = first + ways - 1;
      this.#next[first + ways - 1] = first;
    }
    this.#queued.set(stamps);
  }

  /** The way of a set that was used longest ago, of a few. */
  #leastOf(first: number): number {
    const { stamps } = this;
    let least = stamps[first]!;
    for (let at = first + 1; at < first + this.ways; at++) {
      // The smaller of two without a branch, which no predictor would guess: stamps are never negative.
      const difference = (stamps[at]! - least) | 0;
      least = (least + (difference & (difference >> 31))) | 0;
    }
    return first + (least & ((1 << this.wayBits) - 1));
  }

  /**
   * The way of a set that was used longest ago, as the first of a queue by the last use. A use does not move an entry in
   * the queue, it only stamps it; so stamps are never older than what the queue goes by, and the first one whose stamp is
   * what it queues under is the oldest of all. Before it is found, those with newer stamps go to where they belong.
   */
  #oldest(set: number): number {
    let at = this.#next[this.#last[set]!]!;
    while (this.stamps[at] !== this.#queued[at]) {
      this.#requeue(set, at);
      at = this.#next[this.#last[set]!]!;
    }
    return at;
  }

  /** Moves the first of a queue behind all whose stamps there are not newer than its own now. */
  #requeue(set: number, at: number): void {
    const next = this.#next;
    const last = this.#last[set]!;
    const stamp = this.stamps[at]!;
    this.#queued[at] = stamp;
    next[last] = next[at]!;
    let before = last;
    while (this.#queued[next[before]!]! < stamp) {
      before = next[before]!;
      if (before === last) {
        this.#last[set] = at;
        break;
      }
    }
    this.#putBehind(before, at);
  }

  #putBehind(before: number, at: number): void {
    this.#next[at] = this.#next[before]!;
    this.#next[before] = at;
  }

  /** Makes all queues anew. */
  #queueAll(): void {
    const { ways } = this;
    this.#queued.set(this.stamps);
    for (let set = 0; set < this.sets; set++) {
      const order = Array.from({ length: ways }, (_, way) => set * ways + way);
      order.sort((a, b) => this.stamps[a]! - this.stamps[b]!);
      order.forEach((at, i) => {
        this.#next[at] = order[(i + 1) % ways]!;
      });
      this.#last[set] = order[ways - 1]!;
    }
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
    this.#queueAll();
  }
}

/** A byte of hash. */
const signature = (key: number, tag: number): number => Math.imul(key ^ (tag >>> 13), SPREAD) >>> 24;
