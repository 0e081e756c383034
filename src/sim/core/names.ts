// SPDX-License-Identifier: GPL-2.0-only
/**
 * Values that src/sim/paging-bits.ts, access-rules.ts and walk-result.ts give names to, as constants that the compiled core
 * can have. test/sim/core-names.test.ts holds both together.
 */

/** Bits of an access. */
export const WRITE = 2;
export const USER = 4;
export const FETCH = 16;

/** Bits of an error code. */
export const PFEC_P = 1;
export const PFEC_W = 2;
export const PFEC_U = 4;
export const PFEC_RSVD = 8;
export const PFEC_PK = 32;

/** Bits of an entry. */
export const PAGE_PRESENT = 0x1;
export const PAGE_DIRTY = 0x40;
export const PAGE_LARGE = 0x80;
export const PAGE_GLOBAL = 0x100;
export const KEY_SHIFT = 59;

export const RIGHTS_X = 1;
export const RIGHTS_W = 2;
export const RIGHTS_U = 4;
export const RIGHTS_ALL = 7;

/** Low three bits of an EPT entry; write is in the same place as in any entry. */
export const EPT_R = 1;
export const EPT_X = 4;
export const EPT_TYPE_SHIFT = 3;

export const CAUSE_NONE = 0;
export const CAUSE_NP = 1;
export const CAUSE_RSVD = 2;
export const CAUSE_WP = 7;
export const CAUSE_PK = 8;

export const FAULT_NONE = 0;
export const FAULT_PAGE = 1;
export const FAULT_NESTED = 2;
export const FAULT_MISCONFIGURED = 3;
export const FAULT_NONCANONICAL = 4;

export const STAGE_TABLE = 1;
export const STAGE_FINAL = 2;

export const RESULT_KEY_SHIFT = 12;
export const RESULT_PAGE_SHIFT_SHIFT = 16;
