// SPDX-License-Identifier: GPL-2.0-only

import {
  DENSE_FRAMES,
  FIRST_SLOT,
  GENERATION,
  HOST_TABLE_FRAME,
  JOURNAL,
  JOURNAL_COUNT,
  JOURNAL_ON,
  LOW_SLOTS,
  TABLE_SLOTS,
} from './core/layout.ts';
import { type Core, coreFor, LINEAR_PAGE, newLinearMemory } from './core.ts';
import { FrameMap } from './frame-map.ts';
import type { WriteJournal } from './write-journal.ts';

/** Bytes of a page are 2 ** PAGE_SHIFT. */
export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
/** 32-bit words of a page in the arena. */
const PAGE_WORDS_SHIFT = 10;
// A literal, as a power would be a double.
export const PAGE_WORDS = 1024;

export { HOST_TABLE_FRAME };

/** Address of the first byte of a frame. A double: 52-bit addresses are exact. */
export const addressOf = (frame: number): number => frame * PAGE_SIZE;
/** Frame that holds a physical address. */
export const frameOf = (address: number): number => Math.floor(address / PAGE_SIZE);

/** The unsigned 64-bit value at a byte offset of some memory, as a double: exact below 2 ** 53. */
export const read64 = (words: Int32Array, byte: number): number =>
  (words[byte / 4]! >>> 0) + words[byte / 4 + 1]! * 2 ** 32;

/** Linear memory ends at 4 GiB. */
const MOST_SLOTS = 2 ** 20;
/** Slots that linear memory grows by: it is address space until they are used. */
const GROWTH = 256;

/**
 * The host's physical memory, sparse by 4 KiB frame. Pages lie in one linear memory, `words`, 1024 words each; a page's place
 * in it is its slot. A 64-bit entry i of a page is `words[slot * 1024 + 2 * i]` (low) and `… + 1` (high), a 32-bit entry i is
 * `words[slot * 1024 + i]`; both signed.
 *
 * Slot 0 is a page of zeros that belongs to no frame and must never be written: it lets a walk read an absent frame
 * without a branch. Absent memory reads as zero.
 *
 * Frames are integers below 2 ** 40 (52-bit addresses). Two windows are found by one array load, dense low frames and
 * frames from HOST_TABLE_FRAME on; every other frame goes through a hash.
 *
 * The compiled core works on the same memory, and CPUs keep their state in slots of it.
 */
export class PhysicalMemory {
  readonly #linear = newLinearMemory();
  /** All of the memory. It is replaced when it grows: read it again after every `slotFor`, `write32` or `write64`. */
  words = new Int32Array(this.#linear.buffer);
  /** Slot by frame for low frames, 0 when absent; frames at or past its length are in the hash. */
  readonly lowSlots = new Int32Array(this.#linear.buffer, LOW_SLOTS, DENSE_FRAMES);
  /** Slot by frame - HOST_TABLE_FRAME. */
  readonly tableSlots = new Int32Array(this.#linear.buffer, TABLE_SLOTS, DENSE_FRAMES);
  /** Pages that exist now. */
  pages = 0;
  #journal: WriteJournal | null = null;
  #core: Core | null = null;
  /** Rest of the slots that were taken for small blocks. */
  #blockAt = 0;
  #blockEnd = 0;
  /** By slot from FIRST_SLOT on: the frame that has it, or had it last. */
  #frameOfSlot = new Float64Array(16);
  readonly #others = new FrameMap();
  #free = new Int32Array(16);
  #freeCount = 0;
  /** First slot that was never handed out. */
  #nextSlot = FIRST_SLOT;

  constructor() {
    this.words[GENERATION / 4] = 1;
  }

  /** The compiled core, for this memory. */
  get core(): Core {
    this.#core ??= coreFor(this.#linear, (frame) => this.#others.get(frame));
    return this.#core;
  }

  /** Notes what changes, when there is one. */
  get journal(): WriteJournal | null {
    return this.#journal;
  }

  set journal(journal: WriteJournal | null) {
    this.#journal = journal;
    this.words[JOURNAL_ON / 4] = journal === null ? 0 : 1;
    this.words[JOURNAL_COUNT / 4] = 0;
  }

  /** Room for the state of a machine: a block of zeros, 16 bytes aligned, for as long as the memory exists. Its byte offset. */
  reserve(bytes: number): number {
    const size = Math.ceil(bytes / 16) * 16;
    if (this.#blockAt + size > this.#blockEnd) {
      const slots = Math.ceil(size / PAGE_SIZE);
      this.#blockAt = this.#nextSlot * PAGE_SIZE;
      this.#blockEnd = this.#blockAt + slots * PAGE_SIZE;
      this.#nextSlot += slots;
      this.#growTo(this.#nextSlot);
    }
    const block = this.#blockAt;
    this.#blockAt += size;
    return block;
  }

  /** A view of reserved memory. */
  wordsAt(block: number, length: number): Int32Array {
    return new Int32Array(this.#linear.buffer, block, length);
  }

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
    if (slot - FIRST_SLOT >= this.#frameOfSlot.length) {
      this.#frameOfSlot = grown(this.#frameOfSlot, slot - FIRST_SLOT + 1);
    }
    this.#frameOfSlot[slot - FIRST_SLOT] = frame;
    this.pages++;
    this.#journal?.frames.push(frame);
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
    this.words[GENERATION / 4]!++;
    this.pages--;
    this.#journal?.frames.push(frame);
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
    this.#journal?.words.push(address);
  }

  /** Writes one 64-bit entry; creates the page. May replace `words`. */
  write64(address: number, lo: number, hi: number): void {
    const at = this.slotFor(frameOf(address)) * PAGE_WORDS + ((address & 0xfff) >>> 2);
    this.words[at] = lo;
    this.words[at + 1] = hi;
    this.#journal?.words.push(address, address + 4);
  }

  /** For those who write to `words` themselves: the word at this index changed. */
  written(at: number): void {
    this.#journal?.words.push(
      this.#frameOfSlot[(at >>> PAGE_WORDS_SHIFT) - FIRST_SLOT]! * PAGE_SIZE + (at & (PAGE_WORDS - 1)) * 4,
    );
  }

  /** Tells the journal which entries the core has marked. */
  collectMarks(): void {
    if (this.#journal === null) return;
    const { words } = this;
    const first = JOURNAL / 4;
    const end = first + words[JOURNAL_COUNT / 4]!;
    for (let at = first; at < end; at++) this.written(words[at]! >>> 2);
    words[JOURNAL_COUNT / 4] = 0;
  }

  /** Every frame that exists now. */
  *frames(): IterableIterator<number> {
    for (let slot = FIRST_SLOT; slot < this.#nextSlot; slot++) {
      // Slots without a page ever have no frame, or 0 as if it were theirs.
      const frame = this.#frameOfSlot[slot - FIRST_SLOT];
      if (frame !== undefined && this.slotOrZero(frame) === slot) yield frame;
    }
  }

  #takeSlot(): number {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    const slot = this.#nextSlot++;
    this.#growTo(this.#nextSlot);
    return slot;
  }

  /** Makes room in the arena for so many slots. */
  #growTo(slots: number): void {
    if (slots * PAGE_WORDS <= this.words.length) return;
    if (slots > MOST_SLOTS) throw new Error('memory: more than 4 GiB of tables');
    this.#linear.grow(
      ((GROWTH * PAGE_SIZE) / LINEAR_PAGE) * Math.ceil((slots - this.words.length / PAGE_WORDS) / GROWTH),
    );
    this.words = new Int32Array(this.#linear.buffer);
  }

  #setSlot(frame: number, slot: number): void {
    const table = frame - HOST_TABLE_FRAME;
    if (frame < DENSE_FRAMES) this.lowSlots[frame] = slot;
    else if (table >= 0 && table < DENSE_FRAMES) this.tableSlots[table] = slot;
    else this.#others.put(frame, slot);
  }
}

/** A copy at least `length` long and twice as long as before, so that growing costs a constant per element. */
function grown<A extends Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(array: A, length: number): A {
  // The constructor of a typed array is that of its own kind, which the type system does not follow.
  const copy = new (array.constructor as new (length: number) => A)(Math.max(array.length * 2, length));
  copy.set(array);
  return copy;
}
