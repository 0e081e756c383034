// SPDX-License-Identifier: GPL-2.0-only

/** Bits of the low half of a page-table entry of ordinary paging, and of NPT. SDM vol. 3A 4.3-4.5, APM vol. 2 5.3. */
export const PTE = {
  P: 1 << 0,
  W: 1 << 1,
  U: 1 << 2,
  PWT: 1 << 3,
  PCD: 1 << 4,
  A: 1 << 5,
  D: 1 << 6,
  /** In an entry above the last level: maps a large page. */
  PS: 1 << 7,
  G: 1 << 8,
} as const;

/** Bits of the high half: execute-disable (63) and the four of the protection key (62:59). SDM vol. 3A 4.6. */
export const PTE_HIGH = { NX: 0x80000000, KEY_SHIFT: 27, KEY_MASK: 0xf } as const;

/** Bits of the low half of an EPT entry. SDM vol. 3C 29.3.2. */
export const EPT = {
  R: 1 << 0,
  W: 1 << 1,
  X: 1 << 2,
  MEMORY_TYPE_SHIFT: 3,
  PS: 1 << 7,
  A: 1 << 8,
  D: 1 << 9,
} as const;

/** Error code of a page fault. SDM vol. 3A 4.7, APM vol. 2 8.2.15. */
export const PFEC = { P: 1, W: 2, U: 4, RSVD: 8, ID: 16, PK: 32 } as const;

/**
 * An access, as bits of the error code it could fault with: READ, WRITE or FETCH, with USER added at CPL 3.
 * Everything that is derived from an access is then an index or a mask, never a chain of tests.
 */
export const ACCESS = { READ: 0, WRITE: PFEC.W, USER: PFEC.U, FETCH: PFEC.ID } as const;

/** What a translation allows, as kept in a TLB entry. Write and user stand where an entry has them; execute replaces NX. */
export const RIGHTS = { X: 1, W: PTE.W, U: PTE.U, ALL: 7 } as const;

/** EXITINFO1 of a nested page fault beyond the error-code bits, as bits of its high half. APM vol. 2 15.25.6. */
export const NPF_HIGH = { FINAL: 1 << 0, TABLE: 1 << 1 } as const;

/** Exit qualification of an EPT violation. SDM vol. 3C, table 28-7. */
export const EPT_VIOLATION = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  FETCH: 1 << 2,
  /** R, W and X of the entries used, ANDed, stand here as three bits. */
  ALLOWED_SHIFT: 3,
  /** The guest-linear address is valid. */
  LINEAR: 1 << 7,
  /** Access to the translation of the linear address; clear: to a guest paging-structure entry. */
  FINAL: 1 << 8,
} as const;
