// SPDX-License-Identifier: GPL-2.0-only
/**
 * Addresses and frames cut into parts by level of table, for software walks: tables of 512 entries, level 1 the lowest.
 *
 * A power with a variable exponent is a call into the C library, and so is the remainder of two doubles. Multiplying
 * by a power of two is exact, and costs nothing beside them.
 */

/** Frames of 4 KiB in a page of each level. */
const FRAMES = [0, 1, 0x200, 0x4_0000, 0x800_0000, 0x10_0000_0000] as const;
/** 1 / bytes of a page of each level. */
const PER_BYTE = [0, 2 ** -12, 2 ** -21, 2 ** -30, 2 ** -39, 2 ** -48] as const;
/** 1 / frames of a page of each level. */
const PER_FRAME = [0, 1, 2 ** -9, 2 ** -18, 2 ** -27, 2 ** -36] as const;

/** Frames of 4 KiB in a page of a level from 1 to 5. */
export const framesOf = (level: number): number => FRAMES[level]!;

/** Index of an address, unsigned and below 2 ** 64, into a table of a level. */
export const tableIndex = (address: number, level: number): number => (address * PER_BYTE[level]!) & 511;

/** As `tableIndex`, for the first byte of a frame. */
export const tableIndexOfFrame = (frame: number, level: number): number => (frame * PER_FRAME[level]!) & 511;

/** First 4 KiB frame of the page of `level` that holds a frame. */
export const firstFrame = (frame: number, level: number): number =>
  level === 1 ? frame : Math.floor(frame * PER_FRAME[level]!) * FRAMES[level]!;

/** Index in `PhysicalMemory.words` of the word at an offset (in bytes) into the page that lies in a slot. */
export const wordOf = (slot: number, offset: number): number => (slot << 10) | (offset >>> 2);

const POWERS = Array.from({ length: 65 }, (_, bit) => 2 ** bit);

/** 2 ** bit for a bit from 0 to 64, looked up: for widths of addresses that only a CPU model knows. */
export const powerOf2 = (bit: number): number => POWERS[bit]!;
