// SPDX-License-Identifier: GPL-2.0-only
/**
 * Ways through four-level tables to a table of the last level, remembered for regions of 2 MiB. A walk must read an entry to
 * know where the next one is, so that a processor waits for one after the other; the entries of a remembered way it reads
 * at once. They are all read, and compared: a way is taken when the walk would take it, and gives what the walk gives.
 *
 * Entries are remembered as marked accessed. Where a frame lies in memory changes only when frames are released, and that
 * makes a new generation of memory; a walker whose tables change their form forgets all its ways.
 */
import { frameIn } from './entries';
import {
  GENERATION,
  PATH_BYTES,
  PATH_ENTRIES,
  PATH_GENERATION,
  PATH_LEAF,
  PATH_LOW,
  PATH_PLACES,
  PATH_REGION,
  PATH_ROOT,
  PATHS,
  PATHS_COUNT,
} from './layout';
import { pageAt } from './memory';

const NX_SHIFT = 3;

/** The number of the place where the way for an address from a root is kept, if it is. */
export function pathNumber(va: u64, root: u64): u32 {
  return (<u32>(va >> 21) ^ (<u32>root * 67)) & (PATHS_COUNT - 1);
}

/** Where the way for an address from a root is kept. */
export function pathFor(walker: usize, va: u64, root: u64): usize {
  return load<usize>(walker, PATHS) + <usize>pathNumber(va, root) * PATH_BYTES;
}

/** Whether it is, and is still the way of a walk. */
export function isKnown(path: usize, va: u64, root: u64): bool {
  const other =
    (load<u64>(path, PATH_REGION) ^ (va >> 21)) |
    (load<u64>(path, PATH_ROOT) ^ root) |
    <u64>(load<u32>(path, PATH_GENERATION) ^ load<u32>(GENERATION)) |
    (load<u64>(path, PATH_ENTRIES) ^ load<u64>(load<usize>(path, PATH_PLACES))) |
    (load<u64>(path, PATH_ENTRIES + 8) ^ load<u64>(load<usize>(path, PATH_PLACES + 4))) |
    (load<u64>(path, PATH_ENTRIES + 16) ^ load<u64>(load<usize>(path, PATH_PLACES + 8)));
  return other === 0;
}

/** Where the entry of the last level is. */
export function leafAt(path: usize, va: u64): usize {
  return load<usize>(path, PATH_LEAF) + ((<usize>(va >> 12) & 0x1ff) << 3);
}

/** AND of the low three bits of the way's entries. */
export function lowOf(path: usize): i32 {
  return load<i32>(path, PATH_LOW) & 7;
}

/** OR of the NX bits of the way's entries, where an entry has it. */
export function noExecuteOf(path: usize): u64 {
  return (<u64>(load<u32>(path, PATH_LOW) >> NX_SHIFT)) << 63;
}

/** Whether the way's entries allow everything. */
export function isOpen(path: usize): bool {
  return load<i32>(path, PATH_LOW) === 7;
}

/** Keeps the way that a walk with marks has gone. */
export function remember(path: usize, va: u64, root: u64): void {
  let frame = root;
  beginPath(path, va, root);
  for (let level = 4; level > 0; level--) frame = keepTable(path, level, pageAt(frame), va);
}

/** A way without tables yet. */
export function beginPath(path: usize, va: u64, root: u64): void {
  store<u64>(path, va >> 21, PATH_REGION);
  store<u64>(path, root, PATH_ROOT);
  store<u32>(path, load<u32>(GENERATION), PATH_GENERATION);
  store<i32>(path, 7, PATH_LOW);
}

/** Adds the table of a level, whose page is at a place; returns the frame of the next one. */
export function keepTable(path: usize, level: i32, page: usize, va: u64): u64 {
  if (level === 1) {
    store<usize>(path, page, PATH_LEAF);
    return 0;
  }
  const at = page + ((<usize>(va >> (3 + 9 * level)) & 0x1ff) << 3);
  const entry = load<u64>(at);
  const n: usize = 4 - level;
  store<usize>(path + (n << 2), at, PATH_PLACES);
  store<u64>(path + (n << 3), entry, PATH_ENTRIES);
  const low = load<i32>(path, PATH_LOW);
  store<i32>(path, (low & (<i32>entry | ~7)) | ((<i32>(entry >> 63)) << NX_SHIFT), PATH_LOW);
  return frameIn(entry);
}
