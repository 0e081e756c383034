// SPDX-License-Identifier: GPL-2.0-only
import { ACCESS, PFEC } from '../../src/sim/paging-bits.ts';
import { CR0, CR4, EFER, type Registers } from '../../src/sim/registers.ts';

/** How an access ends: the guest frame it reaches, or the #PF it gets. */
export type Answer = { readonly frame: number } | { readonly errorCode: number };

/** What a leniency may look at beside the two answers. */
export interface Moment {
  readonly access: number;
  readonly registers: Registers;
  /** CR0.WP, and EFER.NX, was clear at some time before. */
  readonly wpWasClear: boolean;
  readonly nxWasClear: boolean;
}

/** A way in which KVM, in some eras, does not do what the guest's tables say. */
export interface Leniency {
  readonly why: string;
  /** Whether this outcome of an access is that way; `want` is what the tables say. */
  forgives(moment: Moment, want: Answer, got: Answer): boolean;
}

/** Error code of an access that KVM lets run into the same fault for ever. */
export const NEVER_ENDS = -1;

/** Error codes of faults that only some bits of an entry make. */
const isReserved = (answer: Answer): boolean => 'errorCode' in answer && (answer.errorCode & PFEC.RSVD) !== 0;

const everyEra: readonly Leniency[] = [
  {
    why: "A user page that the kernel wrote with CR0.WP clear is the kernel's alone in the shadow: SMAP does not stop it.",
    forgives: ({ access, registers }, want) =>
      'errorCode' in want &&
      (registers.cr0 & CR0.WP) === 0 &&
      (registers.cr4 & CR4.SMAP) !== 0 &&
      (access & (ACCESS.USER | ACCESS.FETCH)) === 0,
  },
];

const nxReserved: Leniency = {
  why:
    'A page shadowed with EFER.NX on stays usable when bit 63 of an entry has become reserved: from 7a458f0e1ba1 on the ' +
    'role of shadow pages has EFER.NX constant; until v5.8 kvm_sync_pages synced pages of other roles by the current rules.',
  forgives: ({ registers }, want) => (registers.efer & EFER.NXE) === 0 && isReserved(want),
};

/** Kernels whose SVM module hands the guest's EFER to hardware under shadow paging. */
const guestNx: readonly Leniency[] = [
  {
    why:
      'With EFER.NX off the error code of a shadow fault does not tell a fetch from a read, so SMAP stops the kernel from ' +
      'fetching from user pages.',
    forgives: ({ access, registers }, want, got) =>
      access === ACCESS.FETCH &&
      (registers.efer & EFER.NXE) === 0 &&
      (registers.cr4 & CR4.SMAP) !== 0 &&
      'frame' in want &&
      'errorCode' in got &&
      got.errorCode === PFEC.P,
  },
  {
    why: 'With EFER.NX off the NX bit that SMEP needs in an SPTE (CR0.WP clear) is a reserved one: the fault never ends.',
    forgives: ({ registers }, _want, got) =>
      (registers.efer & EFER.NXE) === 0 &&
      (registers.cr4 & CR4.SMEP) !== 0 &&
      'errorCode' in got &&
      got.errorCode === NEVER_ENDS,
  },
];

/** a770f6f28b1a paging_tmpl.h walk_addr, mmu.c set_spte. */
const before2009: readonly Leniency[] = [
  {
    why:
      'No reserved bit is looked at (v2.6.31 does), bit 63 with EFER.NX off included: such an address is one ' +
      'beyond memory, whose accesses KVM emulates, or a page like any other.',
    forgives: (_moment, want) => isReserved(want),
  },
  {
    why: 'Error codes say that an access was a fetch whatever EFER.NX is.',
    forgives: ({ access }, want, got) =>
      (access & ACCESS.FETCH) !== 0 &&
      'errorCode' in want &&
      'errorCode' in got &&
      got.errorCode === (want.errorCode | PFEC.ID),
  },
  {
    why: 'The walk stops at the first entry that refuses the access, and never sees that one further down is not present.',
    forgives: (_moment, want, got) =>
      'errorCode' in want &&
      'errorCode' in got &&
      (want.errorCode & (PFEC.P | PFEC.ID)) === (want.errorCode & PFEC.ID) &&
      (got.errorCode | PFEC.ID) === (want.errorCode | PFEC.P | PFEC.ID),
  },
  {
    why:
      'With CR0.WP clear a kernel write makes the SPTE writable for everybody, and as CR0.WP is no part of the role it stays ' +
      'so when the bit is set again (v2.6.35: 3dbe141595fa).',
    forgives: ({ access, wpWasClear }, want, got) =>
      wpWasClear &&
      (access & ACCESS.WRITE) !== 0 &&
      'errorCode' in want &&
      (want.errorCode & PFEC.P) !== 0 &&
      'frame' in got,
  },
  {
    why: 'EFER.NX is no part of the role: what was shadowed while it was off stays executable (v2.6.31 9645bb56b31a).',
    forgives: ({ access, nxWasClear }, want, got) =>
      nxWasClear &&
      (access & ACCESS.FETCH) !== 0 &&
      'errorCode' in want &&
      (want.errorCode & PFEC.P) !== 0 &&
      'frame' in got,
  },
];

const byEra: Readonly<Record<string, readonly Leniency[]>> = {
  'base-role^': before2009,
  'base-role': before2009,
  'role-union^': [nxReserved, ...guestNx],
  'role-union': [nxReserved, ...guestNx],
  'v4.20': [nxReserved, ...guestNx],
  'root-role': [nxReserved],
  'v5.19': [nxReserved],
  cr0wp: [nxReserved],
  'v6.1': [nxReserved],
  'v6.12': [nxReserved],
  'v7.2': [nxReserved],
  'v7.3': [nxReserved],
};

/** Guests have 1 GiB pages from v2.6.32 on; before, KVM takes such an entry for one that points to a table. */
export const hasGbPages = (era: string): boolean => !era.startsWith('base-role');

/** What is forgiven an era. */
export const leniencyOf = (era: string): readonly Leniency[] => [...everyEra, ...(byEra[era] ?? [])];

/** How an era keeps its books otherwise than its neighbours. */
export interface Books {
  /** The TDP MMU itself is a user of each valid root (from edbdb43fc96b on, which v6.1.y has too). */
  readonly holdsRoots: boolean;
  /** A table's role has the level of the entry above it (until "Fix TDP MMU page table level", v5.14). */
  readonly levelOfEntryAbove: boolean;
  /**
   * The reverse map goes by bit 7 of an SPTE, and keeps large pages that were split or forbidden (before v2.6.31). Where the
   * frame is one that a large page could begin with, the emulation of a guest's write takes bit 7 of its entry for a large
   * page at any level: the PAT bit of a last-level entry, or a 1 GiB page that the CPU does not have.
   */
  readonly looseReverseMap: boolean;
  /** A page may count unsync children that it no longer has: a bit is cleared without the count (a770f6f28b1a mmu.c:1002). */
  readonly looseUnsyncCount: boolean;
  /** A kernel write with CR0.WP clear makes an entry writable in a page whose role forbids it (until c22885050e65, v3.9). */
  readonly writesIntoReadOnly: boolean;
}

const plainBooks: Books = {
  holdsRoots: false,
  levelOfEntryAbove: false,
  looseReverseMap: false,
  looseUnsyncCount: false,
  writesIntoReadOnly: false,
};

/** a770f6f28b1a and its parent. */
const books2008: Books = { ...plainBooks, looseReverseMap: true, looseUnsyncCount: true, writesIntoReadOnly: true };

const booksByEra: Readonly<Record<string, Books>> = {
  'base-role^': books2008,
  'base-role': books2008,
  'v5.10': { ...plainBooks, levelOfEntryAbove: true },
  'v6.1': { ...plainBooks, holdsRoots: true },
  'v6.12': { ...plainBooks, holdsRoots: true },
  'v7.2': { ...plainBooks, holdsRoots: true },
  'v7.3': { ...plainBooks, holdsRoots: true },
};

/** An error of the machine that stands for a BUG() of this kernel: rmap_remove does not find what is filed otherwise. */
export const isKernelBug = (era: string, error: unknown): boolean =>
  booksOf(era).looseReverseMap &&
  error instanceof Error &&
  /^rmap: entry \d+ of page \d+ does not map/.test(error.message);

export const booksOf = (era: string): Books => booksByEra[era] ?? plainBooks;
