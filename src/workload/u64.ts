// SPDX-License-Identifier: GPL-2.0-only

/** A 64-bit value as two unsigned 32-bit halves: what steps hand to the machine without a BigInt on its way. */
export interface U64 {
  readonly lo: number;
  readonly hi: number;
}

/** A value from its halves; each is taken modulo 2 ** 32. */
export const u64 = (lo: number, hi = 0): U64 => ({ lo: lo >>> 0, hi: hi >>> 0 });

/** A value from a double that holds it exactly (a non-negative integer below 2 ** 53, or a page's address). */
export const u64Of = (value: number): U64 => u64(value % 2 ** 32, Math.floor(value / 2 ** 32));

/** The value as a double, exact below 2 ** 53. */
export const numberOf = ({ lo, hi }: U64): number => hi * 2 ** 32 + lo;

/** Address of the 4 KiB page that the address is in, as a double that holds it exactly. */
export const pageOf = ({ lo, hi }: U64): number => hi * 2 ** 32 + ((lo & ~0xfff) >>> 0);

/** Sum modulo 2 ** 64; `add` is a non-negative integer below 2 ** 53. */
export function plus({ lo, hi }: U64, add: number): U64 {
  const low = lo + (add % 2 ** 32);
  return u64(low, hi + Math.floor(add / 2 ** 32) + (low >= 2 ** 32 ? 1 : 0));
}

/** Bitwise or. */
export const or = (a: U64, b: U64): U64 => u64(a.lo | b.lo, a.hi | b.hi);

/** `width` bits (at most 31) from bit `shift` on. */
export function bitsOf({ lo, hi }: U64, shift: number, width: number): number {
  const mask = 2 ** width - 1;
  if (shift >= 32) return (hi >>> (shift - 32)) & mask;
  const above = shift === 0 ? 0 : hi << (32 - shift);
  return ((lo >>> shift) | above) & mask;
}

/** Whether the value is below 2 ** `bits` (`bits` from 32 to 64). */
export const fits = ({ hi }: U64, bits: number): boolean => hi < 2 ** (bits - 32);

/** 0x and lower-case digits without leading zeros. */
export const hexOf = ({ lo, hi }: U64): string =>
  hi === 0 ? `0x${lo.toString(16)}` : `0x${hi.toString(16)}${lo.toString(16).padStart(8, '0')}`;

/** A value from `0x` hexadecimal or decimal digits; undefined when it is neither or does not fit 64 bits. */
export function parseU64(text: string): U64 | undefined {
  if (!/^(0x[0-9a-f]+|0|[1-9][0-9]*)$/i.test(text) || text.length > 40) return undefined;
  const value = BigInt(text);
  if (value >> 64n !== 0n) return undefined;
  return u64(Number(value & 0xffffffffn), Number(value >> 32n));
}
