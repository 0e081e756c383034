// SPDX-License-Identifier: GPL-2.0-only

const EMPTY = 0;

/**
 * Frame number to a non-zero 32-bit value, by open addressing in typed arrays: no objects, no string keys.
 * Serves the frames that no dense window covers.
 */
export class FrameMap {
  size = 0;
  #keysLo = new Int32Array(64);
  #keysHi = new Int32Array(64);
  #values = new Int32Array(64);

  /** Value of a frame, 0 when there is none. */
  get(frame: number): number {
    return this.#values[this.#find(frame)]!;
  }

  /** Adds or replaces, and removes for 0: absent and 0 are the same. */
  put(frame: number, value: number): void {
    if (value === EMPTY) this.delete(frame);
    else this.set(frame, value);
  }

  /** Adds or replaces; `value` must not be 0. */
  set(frame: number, value: number): void {
    if (value === EMPTY) throw new Error('frame map: 0 means absent');
    // Kept at most half full, so that a probe stays short.
    if ((this.size + 1) * 2 > this.#values.length) this.#grow();
    const at = this.#find(frame);
    if (this.#values[at] === EMPTY) this.size++;
    this.#keysLo[at] = frame | 0;
    this.#keysHi[at] = high(frame);
    this.#values[at] = value;
  }

  /** Removes a frame; nothing happens when it is absent. Closes the gap in place of leaving a tombstone. */
  delete(frame: number): void {
    const mask = this.#values.length - 1;
    let gap = this.#find(frame);
    if (this.#values[gap] === EMPTY) return;
    this.size--;
    for (let at = (gap + 1) & mask; this.#values[at] !== EMPTY; at = (at + 1) & mask) {
      const home = hash(this.#keysLo[at]!, this.#keysHi[at]!) & mask;
      // An element may move into the gap unless its home lies cyclically behind the gap.
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      this.#keysLo[gap] = this.#keysLo[at]!;
      this.#keysHi[gap] = this.#keysHi[at]!;
      this.#values[gap] = this.#values[at]!;
      gap = at;
    }
    this.#values[gap] = EMPTY;
  }

  /** Every frame and its value, in no order. */
  *entries(): IterableIterator<[frame: number, value: number]> {
    for (let at = 0; at < this.#values.length; at++) {
      const value = this.#values[at]!;
      if (value !== EMPTY) yield [(this.#keysHi[at]! >>> 0) * 2 ** 32 + (this.#keysLo[at]! >>> 0), value];
    }
  }

  /** Takes over every frame and value of another map. */
  copyFrom(other: FrameMap): void {
    this.size = other.size;
    this.#keysLo = other.#keysLo.slice();
    this.#keysHi = other.#keysHi.slice();
    this.#values = other.#values.slice();
  }

  /** Removes every frame. */
  clear(): void {
    this.#values.fill(EMPTY);
    this.size = 0;
  }

  /** Index of the frame, or of the empty place where it would go. */
  #find(frame: number): number {
    const lo = frame | 0;
    const hi = high(frame);
    const mask = this.#values.length - 1;
    let at = hash(lo, hi) & mask;
    while (this.#values[at] !== EMPTY && (this.#keysLo[at] !== lo || this.#keysHi[at] !== hi)) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const lo = this.#keysLo;
    const hi = this.#keysHi;
    const values = this.#values;
    this.#keysLo = new Int32Array(values.length * 2);
    this.#keysHi = new Int32Array(values.length * 2);
    this.#values = new Int32Array(values.length * 2);
    this.size = 0;
    for (let i = 0; i < values.length; i++) {
      if (values[i] !== EMPTY) this.set((hi[i]! >>> 0) * 2 ** 32 + (lo[i]! >>> 0), values[i]!);
    }
  }
}

/** Bits 39:32 of a frame number. */
const high = (frame: number): number => (frame > 0xffff_ffff ? (frame / 2 ** 32) | 0 : 0);

/** Mixes both halves; the finaliser of MurmurHash3. */
function hash(lo: number, hi: number): number {
  let x = lo ^ Math.imul(hi, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
