// SPDX-License-Identifier: GPL-2.0-only
/**
 * Ways through a guest's tables that nested tables translate, remembered as those of paths.ts. A walk must translate the frame
 * of each table before it can read the entry that holds the next frame; with the frames known all four are translated at
 * once, and the way is taken when they still lead where they led.
 */
import { frameIn, isMalformed } from './entries';
import {
  ACCESSED,
  DIRTY,
  GUEST_PATH_BYTES,
  GUEST_PATH_FRAMES,
  GUEST_PATH_LEAVES,
  NO_EXECUTE,
  PATH_REGION,
  PATHS,
  RESERVED,
  ROOT_FRAME,
  TABLE_ACCESS,
} from './layout';
import { pageAt } from './memory';
import { RIGHTS_ALL, WRITE } from './names';
import { beginPath, isKnown, isOpen, keepTable, leafAt, pathFor, pathNumber } from './paths';

/** No address is in it. */
const NO_REGION: u64 = u64.MAX_VALUE;

/**
 * The leaf that nested tables have for a frame, when a way to it is remembered and there is nothing to decide or to mark: all
 * entries allow everything, the leaf is marked as the access wants it. 0 otherwise, or when it is not a small page.
 */
export function openLeaf(nested: usize, frame: u64, access: i32): u64 {
  const va = frame << 12;
  const root = load<u64>(nested, ROOT_FRAME);
  const path = pathFor(nested, va, root);
  if (!isKnown(path, va, root) || !isOpen(path)) return 0;
  const entry = load<u64>(leafAt(path, va));
  const wanted = load<u64>(nested, ACCESSED) | ((access & WRITE) !== 0 ? load<u64>(nested, DIRTY) : 0) | RIGHTS_ALL;
  const forbidden = load<u64>(nested, RESERVED + 16) | load<u64>(nested, NO_EXECUTE);
  const isOdd = (entry & forbidden) !== 0 || isMalformed(nested, <i32>entry, true);
  return (entry & wanted) === wanted && !isOdd ? entry : 0;
}

/** As `pathFor`, for a walker whose tables are a guest's. */
export function guestPathFor(walker: usize, va: u64, root: u64): usize {
  return load<usize>(walker, PATHS) + <usize>pathNumber(va, root) * GUEST_PATH_BYTES;
}

/** Whether the tables of a known way are where they were, and need no decision and no mark of the nested tables. */
export function isStillReached(path: usize, nested: usize): bool {
  const access = load<i32>(nested, TABLE_ACCESS);
  let other: u64 = 0;
  for (let byte: usize = 0; byte < 32; byte += 8) {
    other |=
      openLeaf(nested, load<u64>(path + byte, GUEST_PATH_FRAMES), access) ^ load<u64>(path + byte, GUEST_PATH_LEAVES);
  }
  return other === 0;
}

/** Keeps the way that a walk with marks has gone, if all of its tables are mapped openly. */
export function rememberGuest(path: usize, nested: usize, va: u64, root: u64): void {
  const access = load<i32>(nested, TABLE_ACCESS);
  let frame = root;
  beginPath(path, va, root);
  for (let level = 4; level > 0; level--) {
    const leaf = openLeaf(nested, frame, access);
    if (leaf === 0) {
      store<u64>(path, NO_REGION, PATH_REGION);
      return;
    }
    const byte = (<usize>(4 - level)) << 3;
    store<u64>(path + byte, frame, GUEST_PATH_FRAMES);
    store<u64>(path + byte, leaf, GUEST_PATH_LEAVES);
    frame = keepTable(path, level, pageAt(frameIn(leaf)), va);
  }
}
