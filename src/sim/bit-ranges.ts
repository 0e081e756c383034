// SPDX-License-Identifier: GPL-2.0-only
import type { U64 } from './host.ts';

/** No bit. */
export const noBits: U64 = { lo: 0, hi: 0 };

/** Bits `first` to `last` of a 32-bit half; 0 when the half has none of them. */
function halfRange(first: number, last: number): number {
  const from = Math.max(first, 0);
  const to = Math.min(last, 31);
  return to < from ? 0 : (-1 >>> (31 - to + from)) << from;
}

/** By `first * 64 + last`; made when they are asked for, as there are 4096 and a port asks for few. */
const ranges = new Array<U64 | undefined>(64 * 64).fill(undefined);

/** Bits `first` to `last` (0 to 63) of a 64-bit mask as signed halves; none when `last` is below `first`. */
export function bitRange(first: number, last: number): U64 {
  if (first > 63) return noBits;
  const known = ranges[first * 64 + last];
  if (known !== undefined) return known;
  const range = last < first ? noBits : { lo: halfRange(first, last), hi: halfRange(first - 32, last - 32) };
  ranges[first * 64 + last] = range;
  return range;
}

/** Bits of any of the masks, as signed halves. */
export const orBits = (a: U64, b: U64, c = noBits, d = noBits): U64 => ({
  lo: a.lo | b.lo | c.lo | d.lo,
  hi: a.hi | b.hi | c.hi | d.hi,
});

/** Bits of both masks, as signed halves. */
export const andBits = (a: U64, b: U64): U64 => ({ lo: a.lo & b.lo, hi: a.hi & b.hi });
