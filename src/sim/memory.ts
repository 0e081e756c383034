// SPDX-License-Identifier: GPL-2.0-only
import { FrameMap } from './frame-map.ts';
import type { WriteJournal } from './write-journal.ts';

/** Bytes of a page are 2 ** PAGE_SHIFT. */
export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
/** 32-bit words of a page in the arena. */
const PAGE_WORDS_SHIFT = 10;
export const PAGE_WORDS = 2 ** PAGE_WORDS_SHIFT;

/**
 * First frame of the window for tables that the host owns (shadow pages, nested tables): 2 ** 28 frames, which is 1 TiB
 * and above any guest RAM that is modelled. Guest frame n is host frame n below it.
 */
export const HOST_TABLE_FRAME = 0x1000_0000;

/** Address of the first byte of a frame. A double: 52-bit addresses are exact. */
export const addressOf = (frame: number): number => frame * PAGE_SIZE;
/** Frame that holds a physical address. */
export const frameOf = (address: number): number => Math.floor(address / PAGE_SIZE);

/** Frames in each dense window (16 GiB); those beyond live in the hash, lest one stray high address make a huge index. */
const DENSE_FRAMES = 0x40_0000;

/**
 * The host's physical memory, sparse by 4 KiB frame. Pages lie in one arena, `words`, 1024 words each; a page's place in
 * it is its slot. A 64-bit entry i of a page is `words[slot * 1024 + 2 * i]` (low) and `… + 1` (high), a 32-bit entry i is
 * `words[slot * 1024 + i]`; both signed.
 *
 * Slot 0 is a page of zeros that belongs to no frame and must never be written: it lets a walk read an absent frame
 * without a branch. Absent memory reads as zero.
 *
 * Frames are integers below 2 ** 40 (52-bit addresses). Two windows are found by one array load, dense low frames and
 * frames from HOST_TABLE_FRAME on; every other frame goes through a hash.
 */
export class PhysicalMemory {
  /** The arena. It is replaced when it grows: read it again after every `slotFor`, `write32` or `write64`. */
  words = new Int32Array(16 * PAGE_WORDS);
  /** Slot by frame for low frames, 0 when absent; frames at or past its length are absent or in the hash. Replaced when it grows. */
  lowSlots = new Int32Array(256);
  /** Slot by frame - HOST_TABLE_FRAME. Replaced when it grows. */
  tableSlots = new Int32Array(16);
  /** Pages that exist now. */
  pages = 0;
  /** Notes what changes, when there is one. */
  journal: WriteJournal | null = null;
  /** By slot: the frame that has it, or had it last. */
  #frameOfSlot = new Float64Array(16);
  readonly #others = new FrameMap();
  #free = new Int32Array(16);
  #freeCount = 0;
  /** First slot that was never handed out; slot 0 is the page of zeros. */
  #nextSlot = 1;

  /** Slot of a frame, or 0, the page of zeros, when it is absent. For reading only. */
  slotOrZero(frame: number): number {
    if (frame < this.lowSlots.length) return this.lowSlots[frame]!;
    const table = frame - HOST_TABLE_FRAME;
    if (table >= 0 && table < this.tableSlots.length) return this.tableSlots[table]!;
    return this.#others.size === 0 ? 0 : this.#others.get(frame);
  }

  /** Slot of a frame, -1 when it is absent. */
  slotOf(frame: number): number {
    const slot = this.slotOrZero(frame);
    return slot === 0 ? -1 : slot;
  }

  /** Slot of a frame; an absent frame becomes a page of zeros. May replace `words`. */
  slotFor(frame: number): number {
    if (!(frame >= 0 && frame < 2 ** 40) || !Number.isInteger(frame)) throw new Error(`memory: no frame ${frame}`);
    const found = this.slotOrZero(frame);
    if (found !== 0) return found;
    const slot = this.#takeSlot();
    this.#setSlot(frame, slot);
    if (slot >= this.#frameOfSlot.length) this.#frameOfSlot = grown(this.#frameOfSlot, slot + 1);
    this.#frameOfSlot[slot] = frame;
    this.pages++;
    this.journal?.frames.push(frame);
    return slot;
  }

  /** Forgets a frame; its memory reads as zero from now on. Nothing happens when it is absent. */
  releaseFrame(frame: number): void {
    const slot = this.slotOrZero(frame);
    if (slot === 0) return;
    this.words.fill(0, slot * PAGE_WORDS, (slot + 1) * PAGE_WORDS);
    if (this.#freeCount === this.#free.length) this.#free = grown(this.#free, this.#freeCount + 1);
    this.#free[this.#freeCount++] = slot;
    this.#setSlot(frame, 0);
    this.pages--;
    this.journal?.frames.push(frame);
  }

  /** Where the word at a physical address (a multiple of 4) is in `words`, for reading. */
  wordAt(address: number): number {
    return this.slotOrZero(frameOf(address)) * PAGE_WORDS + ((address & 0xfff) >>> 2);
  }

  /** The word at a physical address (a multiple of 4), unsigned. */
  read32(address: number): number {
    return this.words[this.wordAt(address)]! >>> 0;
  }

  /** Low half of the 64-bit entry at a physical address (a multiple of 8), unsigned. */
  read64lo(address: number): number {
    return this.read32(address);
  }

  /** High half of the 64-bit entry at a physical address (a multiple of 8), unsigned. */
  read64hi(address: number): number {
    return this.read32(address + 4);
  }

  /** Writes one word; creates the page. May replace `words`. */
  write32(address: number, value: number): void {
    const slot = this.slotFor(frameOf(address));
    this.words[slot * PAGE_WORDS + ((address & 0xfff) >>> 2)] = value;
    this.journal?.words.push(address);
  }

  /** Writes one 64-bit entry; creates the page. May replace `words`. */
  write64(address: number, lo: number, hi: number): void {
    const at = this.slotFor(frameOf(address)) * PAGE_WORDS + ((address & 0xfff) >>> 2);
    this.words[at] = lo;
    this.words[at + 1] = hi;
    this.journal?.words.push(address, address + 4);
  }

  /** For those who write to `words` themselves: the word at this index changed. */
  written(at: number): void {
    this.journal?.words.push(this.#frameOfSlot[at >>> PAGE_WORDS_SHIFT]! * PAGE_SIZE + (at & (PAGE_WORDS - 1)) * 4);
  }

  /** Every frame that exists now. */
  *frames(): IterableIterator<number> {
    for (let slot = 1; slot < this.#nextSlot; slot++) {
      const frame = this.#frameOfSlot[slot]!;
      if (this.slotOrZero(frame) === slot) yield frame;
    }
  }

  #takeSlot(): number {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    const slot = this.#nextSlot++;
    if ((slot + 1) * PAGE_WORDS > this.words.length) this.words = grown(this.words, (slot + 1) * PAGE_WORDS);
    return slot;
  }

  #setSlot(frame: number, slot: number): void {
    const table = frame - HOST_TABLE_FRAME;
    if (frame < DENSE_FRAMES) {
      if (frame >= this.lowSlots.length) this.lowSlots = grown(this.lowSlots, frame + 1, DENSE_FRAMES);
      this.lowSlots[frame] = slot;
    } else if (table >= 0 && table < DENSE_FRAMES) {
      if (table >= this.tableSlots.length) this.tableSlots = grown(this.tableSlots, table + 1, DENSE_FRAMES);
      this.tableSlots[table] = slot;
    } else if (slot === 0) {
      this.#others.delete(frame);
    } else {
      this.#others.set(frame, slot);
    }
  }
}

/**
 * A copy at least `length` long and twice as long as before, so that growing costs a constant per element; a window stops
 * at its `limit`, because frames past it are looked for in the hash only when no window reaches them.
 */
function grown<A extends Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  array: A,
  length: number,
  limit = Number.POSITIVE_INFINITY,
): A {
  // The constructor of a typed array is that of its own kind, which the type system does not follow.
  const copy = new (array.constructor as new (length: number) => A)(
    Math.min(Math.max(array.length * 2, length), limit),
  );
  copy.set(array);
  return copy;
}
