// SPDX-License-Identifier: GPL-2.0-only
/**
 * A walk in one dimension by a way that is known (paths.ts) to a leaf that allows the access and is marked as it would be marked:
 * what walk.ts comes to, without its decisions. It is most walks there are.
 */
import { frameIn, leafFlags, ordinaryRights, ruleIndex } from './entries';
import {
  ACCESSED,
  CACHES,
  DIRTY,
  FLAGS,
  HOST_FRAME,
  IS_EPT,
  LEVELS,
  NESTED,
  NO_EXECUTE,
  PAGE_SHIFT,
  PRESENT,
  READABLE,
  RESERVED,
  ROOT_FRAME,
  RULES,
} from './layout';
import { CAUSE_NONE, WRITE } from './names';
import { isKnown, leafAt, lowOf, noExecuteOf, pathFor } from './paths';

/** Entries that a short walk reads. */
export const SHORT_READS = 4;

/**
 * Whether a walker's ways are of the kind that short walks take: four levels, and not EPT; caches remember instead. Above nested tables five leaves
 * have to be looked at, and a walk that does nothing else was measured to be no quicker.
 */
export function canWalkShort(walker: usize): bool {
  const other = load<usize>(walker, NESTED) | load<usize>(walker, CACHES) | load<i32>(walker, IS_EPT);
  return other === 0 && load<i32>(walker, LEVELS) === 4;
}

/**
 * Walks without protection keys in force. True: FLAGS, HOST_FRAME, PAGE_SHIFT and READABLE say what was reached, and nothing
 * else is told. False: this walk needs a decision, and nothing has happened.
 */
export function shortWalk(walker: usize, va: u64, access: i32): bool {
  const root = load<u64>(walker, ROOT_FRAME);
  const path = pathFor(walker, va, root);
  if (!isKnown(path, va, root)) return false;
  const leaf = load<u64>(leafAt(path, va));
  const marks = load<u64>(walker, ACCESSED) | ((access & WRITE) !== 0 ? load<u64>(walker, DIRTY) : 0);
  const wanted = load<u64>(walker, PRESENT) | marks;
  if ((leaf & wanted) !== wanted || (leaf & load<u64>(walker, RESERVED + 16)) !== 0) return false;
  const noExecute = (noExecuteOf(path) | leaf) & load<u64>(walker, NO_EXECUTE);
  const rights = ordinaryRights(lowOf(path) & <i32>leaf, noExecute);
  if (<i32>load<u8>(walker + ruleIndex(access, rights), RULES) !== CAUSE_NONE) return false;
  store<i32>(walker, leafFlags(walker, leaf, rights, 12), FLAGS);
  store<u64>(walker, frameIn(leaf), HOST_FRAME);
  store<i32>(walker, 12, PAGE_SHIFT);
  store<i32>(walker, 1, READABLE);
  return true;
}
