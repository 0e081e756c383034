// SPDX-License-Identifier: GPL-2.0-only
import { mix32 } from '../workload/page-stream.ts';

/** Form of a traced guest's tables; the names of src/sim/paging-modes.ts. */
export const tracePagings = ['32bit', 'pae', '4level', '5level'] as const;
export type TracePaging = (typeof tracePagings)[number];

/** A run of pages of one size, mapped in order. Page i of it is at linear page `page + i * step` (`stepOf`). */
export interface TraceMap {
  /** Linear page number of the first, as events have it: a multiple of 4 KiB pages. */
  readonly page: number;
  /** Guest frame of the first. */
  readonly frame: number;
  readonly count: number;
  /** '4m' in 32-bit tables, '2m' in all others. */
  readonly size: '4k' | '2m' | '4m';
  /** Letters of docs/ops.md: `p w u n g a d`. */
  readonly flags: string;
  /** Page i is read-only, whatever the flags say, when `mix32(i) % readOnlyOneIn` is 0. A power of two; 0: none is. */
  readonly readOnlyOneIn: number;
  /** Page i goes to frame `frame + (i ^ scatter) * step`: neighbours in the address space are none in memory. */
  readonly scatter: number;
}

/** A traced guest as it is before the first event: CPL 0, CR0.WP and EFER.NX set, in the first space. */
export interface TraceGuest {
  readonly paging: TracePaging;
  /** Guest RAM in frames, from frame 0. */
  readonly frames: number;
  /** First frame for page tables, which are laid out upwards from it. */
  readonly tableFrame: number;
  /** Address spaces; events name them by number. */
  readonly spaces: readonly { readonly maps: readonly TraceMap[] }[];
}

const steps = { '4k': 1, '2m': 512, '4m': 1024 } as const;

/** 4 KiB pages of one page of a size. */
export const stepOf = (size: TraceMap['size']): number => steps[size];

export const isReadOnly = ({ readOnlyOneIn }: TraceMap, i: number): boolean =>
  readOnlyOneIn !== 0 && (mix32(i) & (readOnlyOneIn - 1)) === 0;

/** Guest frame of page i of a map. */
export const frameOf = ({ frame, scatter, size }: TraceMap, i: number): number => frame + (i ^ scatter) * stepOf(size);

/** Pages from `frame` on that a map's pages go to at most: their number, rounded up to whole groups that a scatter mixes. */
export function reachOf({ count, scatter }: Pick<TraceMap, 'count' | 'scatter'>): number {
  const group = scatter === 0 ? 1 : 2 ** (32 - Math.clz32(scatter));
  return Math.ceil(count / group) * group;
}

/** What generated guests have in common. */
export interface UniformGuest {
  readonly paging?: TracePaging;
  readonly spaces: number;
  /** 4 KiB pages in each space. */
  readonly pages: number;
  readonly size: TraceMap['size'];
  /** Linear page number of the first page of every space. */
  readonly firstPage: number;
  readonly readOnlyOneIn: number;
}

/** First guest frame of data: above every table. Data pages have no memory behind them, so their frames cost nothing. */
export const DATA_FRAME = 0x400000;

/** Spaces of the same size at the same addresses, each with frames of its own, user and writable but for the read-only pages. */
export function uniformGuest({ paging, spaces, pages, size, firstPage, readOnlyOneIn }: UniformGuest): TraceGuest {
  const map = { page: firstPage, count: pages / stepOf(size), size, flags: 'pwu', readOnlyOneIn };
  const scatter = size === '4k' ? 0x15 : 0;
  return {
    paging: paging ?? '4level',
    frames: DATA_FRAME + pages * (spaces - 1) + reachOf({ count: map.count, scatter }) * stepOf(size),
    tableFrame: 1,
    spaces: Array.from({ length: spaces }, (_, space) => ({
      maps: [{ ...map, frame: DATA_FRAME + space * pages, scatter }],
    })),
  };
}
