// SPDX-License-Identifier: GPL-2.0-only
/** The way through nested tables, for src/sim/straight-nested-walk.ts. */
import { PTE } from './paging-bits.ts';
import { hostPageWords, LARGE_FRAME_HIGH, LARGEST_FRAME, OTHER_BITS, smallFrame } from './straight-parts.ts';
import type { Walker } from './walk.ts';

// Copies: see src/sim/straight-parts.ts.
const { P: PRESENT, PS: LARGE } = PTE;
const LARGEST = LARGEST_FRAME;
const FRAME_HIGH = LARGE_FRAME_HIGH;
const OTHERS = OTHER_BITS;
const NO_REGION = -1;
/** There is no way to the leaf, or none that is as simple as it takes here. */
const NONE = -1;

/**
 * The way through the nested tables to the leaves for one region of 2 MiB. Frames of a guest's tables are often of the same
 * region: the next one then starts at the last level, since nothing is written in the middle of a straight walk. It counts
 * as a walk of its own.
 */
export class NestedPath {
  /** Guest frame over 512. */
  region = NO_REGION;
  /** First word of the last table, or of the one entry that maps the region as a large page. */
  table = 0;
  /** 511 where frames choose an entry of the table, 0 in a large page; and bits of a frame that the leaf leaves to it. */
  indexMask = 0;
  within = 0;
  /** Bits 2:0: AND of the entries above the leaf, other bits set. OR of their high halves. They are in order. */
  low = 0;
  high = 0;
  /** Entries of a whole walk. */
  reads = 0;
  /** Bits below the page number. */
  pageShift = 0;

  /** Before each walk: memory may have changed. */
  begin(): void {
    this.region = NO_REGION;
  }
}

/** Word of the leaf for a guest frame, which the caller judges; NONE when entries above it are out of the ordinary. */
export function leafWord(nested: Walker, path: NestedPath, frame: number): number {
  if (frame >>> 9 !== path.region && !enterRegion(nested, path, frame)) return NONE;
  return path.table + ((frame & path.indexMask) << 1);
}

/** Host frame of a guest frame, by its leaf. */
export const frameByLeaf = (path: NestedPath, frame: number, entry: number, high: number): number =>
  (smallFrame(entry, high) & ~path.within) | (frame & path.within);

/** Goes down to the last table for a frame, or to the large page around it. False: something there is out of the ordinary. */
function enterRegion(nested: Walker, path: NestedPath, frame: number): boolean {
  path.region = NO_REGION;
  if (frame > LARGEST) return false;
  const { memory, format } = nested;
  const { words } = memory;
  let at = (hostPageWords(memory, nested.rootFrame) + (((frame >>> 27) & 0x1ff) << 1)) | 0;
  let entry = words[at]!;
  let entryHigh = words[at | 1]!;
  let upper = entry;
  let low = entry;
  let high = entryHigh;
  at = (hostPageWords(memory, smallFrame(entry, entryHigh)) + (((frame >>> 18) & 0x1ff) << 1)) | 0;
  entry = words[at]!;
  entryHigh = words[at | 1]!;
  upper |= entry;
  low &= entry;
  high |= entryHigh;
  at = (hostPageWords(memory, smallFrame(entry, entryHigh)) + (((frame >>> 9) & 0x1ff) << 1)) | 0;
  entry = words[at]!;
  entryHigh = words[at | 1]!;
  let odd = upper & format.oddPointer;
  if ((entry & LARGE) !== 0) {
    odd |= entry & format.oddLarge;
    path.table = at;
    path.indexMask = 0;
    path.within = 511;
    path.reads = 3;
    path.pageShift = 21;
  } else {
    odd |= entry & format.oddLastPointer;
    low &= entry;
    high |= entryHigh;
    path.table = hostPageWords(memory, smallFrame(entry, entryHigh));
    path.indexMask = 511;
    path.within = 0;
    path.reads = 4;
    path.pageShift = 12;
  }
  odd |= (~low & (PRESENT | format.accessed)) | (high & (format.oddHigh | FRAME_HIGH));
  if (odd !== 0) return false;
  path.region = frame >>> 9;
  path.low = low | OTHERS;
  path.high = high;
  return true;
}
