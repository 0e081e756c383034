// SPDX-License-Identifier: GPL-2.0-only
/**
 * A packed trace: two 32-bit words an event.
 *
 *     lo  |31                      0|   page number bits 31:0, or the operand
 *     hi  |31  24|23      13|12    0|   kind, extra, page number bits 44:32
 *
 * A page number is a linear address without its low 12 bits; above bit 44 it only repeats bit 44, so that it reaches all of
 * a 48- or 57-bit address space. `extra` is 0 unless the kind says what it means.
 */

/** Kinds of event. Numbers are part of the file format: never change one. */
export const EVENT = {
  /** The guest reads, or writes, at a page. */
  READ: 0,
  WRITE: 1,
  /** MOV to CR3 with the root of space `lo`. Bits 11:0 of `hi` are the PCID, bit 12 is bit 63 of the value: no flush. */
  CR3: 2,
  /** MOV to CR0 that changes WP alone, to `lo`. */
  WP: 3,
  /**
   * A store to the entry that maps a page in the space in force: toggles W and clears A and D; or, with bit 10 of `extra`
   * set, keeps the frame and takes the flags in bits 6:0 (EDIT_FLAG).
   */
  EDIT: 4,
  INVLPG: 5,
  /** The guest executes at a page. */
  EXEC: 6,
  /** MOV to CR0 or CR4, WRMSR of EFER: the whole register, which must keep the guest in its paging mode. */
  CR0: 7,
  CR4: 8,
  EFER: 9,
  /** Privilege level from now on: 0 or 3. */
  CPL: 10,
  /** RFLAGS.AC from now on: 0 or 1. */
  AC: 11,
  /** Phase number `lo` of those that the header names begins. */
  PHASE: 12,
} as const;

/** Names of the kinds by number, as text formats spell them. */
export const eventNames = Object.keys(EVENT).map((name) => name.toLowerCase());

export const KIND_SHIFT = 24;
/** Page number bits 44:32 in `hi`. */
export const PAGE_HIGH = 0x1fff;
export const CR3_NOFLUSH = 1 << 12;
export const CR3_PCID = 0xfff;

const EXTRA_SHIFT = 13;
/** Bit 10 of `extra`: the event says what the flags become. */
const EDIT_SETS = 1 << (EXTRA_SHIFT + 10);

/** Flags of an EDIT that sets them; letters as in docs/ops.md. */
export const EDIT_FLAG = { p: 1, w: 2, u: 4, n: 8, g: 16, a: 32, d: 64 } as const;

export type EditFlag = keyof typeof EDIT_FLAG;

/** Number of events in a packed trace. */
export const eventCount = (trace: Int32Array): number => trace.length / 2;

/** Second word of an event about a page. */
export const pageWord = (kind: number, page: number): number => (kind << KIND_SHIFT) | Math.floor(page / 2 ** 32);

/** Second word of an EDIT that sets flags (EDIT_FLAG bits). */
export const editWord = (page: number, flags: number): number =>
  pageWord(EVENT.EDIT, page) | EDIT_SETS | (flags << EXTRA_SHIFT);

/** Flags that an EDIT sets, -1 for one that toggles. */
export const editFlags = (hi: number): number => ((hi & EDIT_SETS) === 0 ? -1 : (hi >>> EXTRA_SHIFT) & 0x7f);

/** Second word of a CR3. */
export const cr3Word = (pcid: number, noflush: boolean): number =>
  (EVENT.CR3 << KIND_SHIFT) | pcid | (noflush ? CR3_NOFLUSH : 0);

/** Page number of an event, from 0 to 2 ** 45. */
export const pageOf = (lo: number, hi: number): number => (hi & PAGE_HIGH) * 2 ** 32 + (lo >>> 0);

/** Kinds whose events are about a page. */
export const isAboutPage = (kind: number): boolean =>
  kind <= EVENT.WRITE || kind === EVENT.EDIT || kind === EVENT.INVLPG || kind === EVENT.EXEC;
