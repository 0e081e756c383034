// SPDX-License-Identifier: GPL-2.0-only

/** What translation cost the hardware, in counts. Weights that turn counts into one number are the report's. */
export class WalkCost {
  /** Guest accesses. */
  accesses = 0;
  tlb_misses = 0;
  /** Table walks, those that fault included. */
  walks = 0;
  /** Entries read: of the guest's own tables by hardware, of two-dimensional tables, of shadow tables. */
  reads_guest = 0;
  reads_nested = 0;
  reads_shadow = 0;
  /** Flushes of whole contexts, and of single addresses. */
  tlb_flushes = 0;
  tlb_flushes_address = 0;

  snapshot(): WalkCostValues {
    return { ...this };
  }
}

export type WalkCostValues = { readonly [K in keyof WalkCost as WalkCost[K] extends number ? K : never]: number };
