// SPDX-License-Identifier: GPL-2.0-only
import { HOST_TABLE_FRAME } from './memory.ts';
import { ENTRIES, type ShadowPages } from './shadow-pages.ts';

/** Pages one round of a sync collects, tables on the way to unsync pages included (KVM_PAGE_ARRAY_NR). */
export const UNSYNC_BATCH = 16;

const PRESENT = 1;

/** An unsync page and the entries that lead to it from the page where the walk began, topmost first. */
export interface UnsyncPage {
  readonly id: number;
  readonly path: readonly { readonly parent: number; readonly index: number }[];
}

/**
 * Marks every ancestor of a page as having unsync pages below it. A bit that is set already ends the climb there,
 * as the ancestors above were marked with it.
 */
export function markParentsUnsync(pages: ShadowPages, id: number): void {
  for (const entry of pages.parentEntries(id)) {
    const parent = Math.floor(entry / ENTRIES);
    if (pages.setUnsyncBit(parent, entry % ENTRIES) && pages.unsyncChildren[parent] === 1)
      markParentsUnsync(pages, parent);
  }
}

/**
 * The unsync pages below a page, depth first, until the batch of 16 pages (tables on the way count) is full. On the
 * way, bits that lead to nothing unsync any more are cleared: a page can have several parents, and a sync through one
 * of them leaves the others' bits behind.
 */
export function collectUnsync(pages: ShadowPages, root: number): UnsyncPage[] {
  if (pages.unsyncChildren[root] === 0) return [];
  const batch: Batch = { found: [], taken: 1 };
  descend(pages, root, [], batch);
  return batch.found;
}

interface Batch {
  readonly found: UnsyncPage[];
  /** Places of the batch in use; the page where the walk began takes the first. */
  taken: number;
}

/** Returns how many unsync pages are below, or -1 as soon as the batch is full. */
function descend(pages: ShadowPages, id: number, path: UnsyncPage['path'], batch: Batch): number {
  let leaves = 0;
  for (let index = pages.nextUnsyncBit(id, 0); index >= 0; index = pages.nextUnsyncBit(id, index + 1)) {
    const child = childOf(pages, id, index);
    if (child !== 0 && pages.unsyncChildren[child]! > 0) {
      if (++batch.taken === UNSYNC_BATCH) return -1;
      const below = descend(pages, child, [...path, { parent: id, index }], batch);
      if (below < 0) return below;
      if (below === 0) pages.clearUnsyncBit(id, index);
      leaves += below;
    } else if (child !== 0 && pages.unsync[child] === 1) {
      leaves++;
      if (batch.found.some((page) => page.id === child)) continue;
      batch.found.push({ id: child, path: [...path, { parent: id, index }] });
      if (++batch.taken === UNSYNC_BATCH) return -1;
    } else pages.clearUnsyncBit(id, index);
  }
  return leaves;
}

/** The page an entry points to, 0 when it is not present or a leaf of something that is no table. */
export function childOf(pages: ShadowPages, id: number, index: number): number {
  const low = pages.entryLow(id, index);
  if ((low & PRESENT) === 0) return 0;
  const frame = (low >>> 12) + (pages.entryHigh(id, index) & 0xfffff) * 0x100000;
  return frame > HOST_TABLE_FRAME ? pages.idOfFrame(frame) : 0;
}

/** After a page was synced: clears the bits on the path that led to it, as far up as nothing unsync is left below. */
export function clearPath(pages: ShadowPages, { path }: UnsyncPage): void {
  for (let i = path.length - 1; i >= 0; i--) {
    const { parent, index } = path[i]!;
    pages.clearUnsyncBit(parent, index);
    if (pages.unsyncChildren[parent]! > 0) return;
  }
}
