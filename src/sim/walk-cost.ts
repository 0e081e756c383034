// SPDX-License-Identifier: GPL-2.0-only

/** What translation cost the hardware, in counts. Weights that turn counts into one number are the report's. */
export interface WalkCost {
  /** Guest accesses, code fetches included. */
  readonly accesses: number;
  /** Accesses that walked tables, those that faulted included. */
  readonly tlb_misses: number;
  /** Entries read: of the guest's own tables by hardware, of two-dimensional tables, of shadow tables. */
  readonly reads_guest: number;
  readonly reads_nested: number;
  readonly reads_shadow: number;
  /** Flushes of the whole context, and of single addresses. */
  readonly tlb_flushes: number;
  readonly tlb_flushes_address: number;
}
