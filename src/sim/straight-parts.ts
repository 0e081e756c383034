// SPDX-License-Identifier: GPL-2.0-only
/** What straight walks (src/sim/straight-walk.ts says what they are) have in common. */
import { CAUSE } from './access-rules.ts';
import { HOST_TABLE_FRAME, type PhysicalMemory } from './memory.ts';
import { FAULT, STAGE, type WalkResult } from './walk-result.ts';

// Constants of other modules are read anew at each use, those of a module itself are folded into the code: straight walks
// keep copies of the ones they need.
const HOST_TABLES = HOST_TABLE_FRAME;
const SMALL = 0x7fffffff;
/** A page has 2 ** 10 words. */
const PAGE_WORDS_SHIFT = 10;

/** Tables of the last level that a walker remembers as guesses, less one. */
export const TABLES_MASK = 8191;

/** Frames below 2 ** 31 are small integers; straight walks serve no others. */
export const LARGEST_FRAME = SMALL;
/** Bits of an entry's high half that such frames leave clear. */
export const LARGE_FRAME_HIGH = 0xff800;

/** From ACCESS.WRITE, bit 1, to PTE.D, bit 6. */
export const WRITE_TO_DIRTY = 5;
/** Bits other than the three that decide over rights: taken as set in all entries that a cache stands for. */
export const OTHER_BITS = ~7;

/** Frame in an entry, right where LARGE_FRAME_HIGH is clear, and some small integer elsewhere. */
export const smallFrame = (entry: number, high: number): number => ((entry >>> 12) | (high << 20)) & SMALL;

/** First word, in the arena, of the page at a frame; of the page of zeros when it is absent. */
export function pageWords(memory: PhysicalMemory, frame: number): number {
  const { lowSlots } = memory;
  return frame < lowSlots.length ? lowSlots[frame]! << PAGE_WORDS_SHIFT : hostPageWords(memory, frame);
}

/** As `pageWords`, quickest for tables of the host. */
export function hostPageWords(memory: PhysicalMemory, frame: number): number {
  const { tableSlots } = memory;
  const table = frame - HOST_TABLES;
  if (table >= 0 && table < tableSlots.length) return tableSlots[table]! << PAGE_WORDS_SHIFT;
  return memory.slotOrZero(frame) << PAGE_WORDS_SHIFT;
}

/** Sets bits of an entry where they are missing; `words` is the memory's arena. Returns how many entries it wrote, 0 or 1. */
export function markEntry(memory: PhysicalMemory, words: Int32Array, at: number, wanted: number): number {
  const entry = words[at]!;
  if ((entry & wanted) === wanted) return 0;
  words[at] = entry | wanted;
  memory.written(at);
  return 1;
}

/** Clears what only a fault sets, when the last walk had one. */
export function clearFault(result: WalkResult): void {
  if (result.fault === 0) return;
  result.fault = FAULT.NONE;
  result.cause = CAUSE.NONE;
  result.errorCode = 0;
  result.stage = STAGE.NONE;
  result.faultGpa = 0;
}
