// SPDX-License-Identifier: GPL-2.0-only
import { lowerLocated } from './lower.ts';
import type { Workload } from './ops.ts';
import type { Tree } from './trees.ts';

/**
 * Every non-zero paging-structure entry at start, as parallel arrays ordered by tree, table page and index. Entry i has
 * `bytes[i]` bytes and lies at `frame[i] * 4096 + index[i] * bytes[i]`; `hi` is 0 for 4-byte entries.
 */
export interface TableEntries {
  readonly count: number;
  readonly frame: Uint32Array;
  readonly index: Uint16Array;
  readonly bytes: Uint8Array;
  readonly lo: Uint32Array;
  readonly hi: Uint32Array;
}

/**
 * What a VMCB holds for the MMU at start. VMRUN loads it; the exit that ends the block saves the guest's registers back
 * (APM vol. 2 15.6), so a second VMRUN goes on with what the last one left, apart from RIP.
 */
export interface Vmcb {
  readonly name: string;
  readonly address: number;
  readonly asid: number;
  readonly cr0: number;
  /** Root of the L2 tree. */
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
  /** Root of the nested tree, undefined without nested paging. */
  readonly nestedCr3: number | undefined;
}

/** What a VMCS holds for the MMU at start; entries and exits keep it as they do a VMCB (SDM vol. 3C 26, 27). */
export interface Vmcs {
  readonly name: string;
  readonly address: number;
  /** 0: no VPID. */
  readonly vpid: number;
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
  /** Root of the EPT tree and its depth, undefined without EPT. */
  readonly ept: { readonly root: number; readonly levels: 4 | 5 } | undefined;
}

/** A used part of the first 2 MiB of guest memory. */
export interface Area {
  readonly name: string;
  readonly start: number;
  /** First byte after it. */
  readonly end: number;
}

/** Guest memory before the first instruction. */
export interface GuestImage {
  /** In order of creation. */
  readonly trees: ReadonlyMap<string, Tree>;
  readonly entries: TableEntries;
  readonly vmcbs: ReadonlyMap<string, Vmcb>;
  readonly vmcses: ReadonlyMap<string, Vmcs>;
  readonly areas: readonly Area[];
  /** Table pages used, of 256. */
  readonly poolPages: number;
}

/** Bytes of guest RAM; every data page beyond the tables begins with a jump back, for `x`. */
export const RAM_BYTES = 32 * 2 ** 20;

/** The initial guest memory of a workload. Throws a UserError when its ops do not fit together. */
export const buildImage = (workload: Workload): GuestImage => lowerLocated(workload).image;
