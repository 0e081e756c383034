// SPDX-License-Identifier: GPL-2.0-only
import { EPT, PTE, RIGHTS } from '../../../src/sim/paging-bits.ts';

/** Word of the entry for an address within its table. */
export function entryWord(entryWords: number, lo: number, hi: number, level: number): number {
  if (entryWords === 1) return level === 1 ? (lo >>> 12) & 0x3ff : lo >>> 22;
  switch (level) {
    case 1:
      return ((lo >>> 12) & 0x1ff) * 2;
    case 2:
      return ((lo >>> 21) & 0x1ff) * 2;
    case 3:
      return (((lo >>> 30) | (hi << 2)) & 0x1ff) * 2;
    case 4:
      return ((hi >>> 7) & 0x1ff) * 2;
    default:
      return ((hi >>> 16) & 0x1ff) * 2;
  }
}

// Spelt as literals, which stay small integers where a power is a double: so are frames then, wherever they are kept.
const FRAMES_PER_4_GIB = 0x10_0000;
const FRAMES_PER_4_MIB = 0x400;

/** Frame in an entry that points to a table: address bits 51:12, as a double. */
export function tableFrame(entry: number, high: number): number {
  return (entry >>> 12) + (high & 0xfffff) * FRAMES_PER_4_GIB;
}

/** First frame of the page that a leaf maps. */
export function leafFrame(entryWords: number, entry: number, high: number, pageShift: number): number {
  // Bits 20:13 of a 4 MiB leaf are address bits 39:32 (PSE-36, SDM vol. 3A table 4-4).
  if (entryWords === 1 && pageShift === 22)
    return (entry >>> 22) * FRAMES_PER_4_MIB + ((entry >>> 13) & 0xff) * FRAMES_PER_4_GIB;
  return tableFrame(entry & -(1 << pageShift), high);
}

/** Number of the small page within a page of 2 ** pageShift bytes. */
export const pageWithin = (lo: number, pageShift: number): number => (lo >>> 12) & ((1 << (pageShift - 12)) - 1);

/** Write and user stand in every entry; `noExecute` is the OR of the NX bits that count. */
export const ordinaryRights = (low: number, noExecute: number): number =>
  (low & (PTE.W | PTE.U)) | (noExecute === 0 ? RIGHTS.X : 0);

/** EPT's R W X as rights: readable takes the place of user. */
export const eptRights = (low: number): number =>
  (low & EPT.W) | (low & EPT.R ? RIGHTS.U : 0) | (low & EPT.X ? RIGHTS.X : 0);
