// SPDX-License-Identifier: GPL-2.0-only
/** What entries and rights mean: the arithmetic of a walk. */
import {
  CANONICAL_SHIFT,
  DIRTY,
  GLOBAL,
  HAS_KEYS,
  KEYS_ON,
  MALFORMED_RIGHTS,
  ODD_MEMORY_TYPES,
  PKRU,
  WP,
} from './layout';
import {
  EPT_R,
  EPT_TYPE_SHIFT,
  EPT_X,
  FETCH,
  KEY_SHIFT,
  PAGE_DIRTY,
  PAGE_GLOBAL,
  PFEC_PK,
  RESULT_KEY_SHIFT,
  RESULT_PAGE_SHIFT_SHIFT,
  RIGHTS_U,
  RIGHTS_W,
  RIGHTS_X,
  USER,
  WRITE,
} from './names';

/** Whether an address is one that the mode takes. */
export function isCanonical(walker: usize, va: u64): bool {
  const shift = load<i32>(walker, CANONICAL_SHIFT);
  const hi = <i32>(va >> 32);
  return shift < 0 || hi >> shift === hi >> 31;
}

/** Address bits 51:12 of an entry. */
const FRAME_BITS: u64 = 0xf_ffff_ffff_f000;

/** PFEC.PK when the protection key of a user page forbids a data access, else 0. SDM vol. 3A 4.6.2. */
export function keyFault(walker: usize, access: i32, rights: i32, key: i32): i32 {
  if (load<i32>(walker, KEYS_ON) === 0 || (rights & RIGHTS_U) === 0 || (access & FETCH) !== 0) return 0;
  const disable = (load<i32>(walker, PKRU) >>> (2 * key)) & 3;
  if ((disable & 1) !== 0) return PFEC_PK;
  const decides = (access & USER) !== 0 || load<i32>(walker, WP) !== 0;
  return (disable & 2) !== 0 && (access & WRITE) !== 0 && decides ? PFEC_PK : 0;
}

/** Protection key of a leaf, where the mode has keys. */
export function keyOf(walker: usize, entry: u64): i32 {
  return load<i32>(walker, HAS_KEYS) !== 0 ? <i32>(entry >> KEY_SHIFT) & 15 : 0;
}

/** What a marked leaf of 2 ** shift bytes says about its page, as FLAGS has it. */
export function leafFlags(walker: usize, leaf: u64, rights: i32, shift: i32): i32 {
  const dirty = load<u64>(walker, DIRTY);
  const isDirty = (leaf & dirty) === dirty ? PAGE_DIRTY : 0;
  const isGlobal = (leaf & load<u64>(walker, GLOBAL)) !== 0 ? PAGE_GLOBAL : 0;
  const key = keyOf(walker, leaf) << RESULT_KEY_SHIFT;
  return rights | key | isDirty | isGlobal | (shift << RESULT_PAGE_SHIFT_SHIFT);
}

/** Place of an access and the rights of a translation in a table of rules. */
export function ruleIndex(access: i32, rights: i32): usize {
  return <usize>((access << 3) | rights);
}

/** Frame in a 64-bit entry: address bits 51:12. In an entry of 32 bits those above are clear. */
export function frameIn(entry: u64): u64 {
  return (entry & FRAME_BITS) >> 12;
}

/** Bits 20:13 of a 4 MiB leaf are address bits 39:32 (PSE-36, SDM vol. 3A table 4-4). */
export function frameOfPse36(entry: u64): u64 {
  return ((entry >> 22) << 10) | (((entry >> 13) & 0xff) << 20);
}

/** Write and user stand in every entry; `noExecute` is the NX bit where it counts. */
export function ordinaryRights(low: i32, noExecute: u64): i32 {
  return (low & (RIGHTS_W | RIGHTS_U)) | (noExecute === 0 ? RIGHTS_X : 0);
}

/** EPT's R W X as rights: readable takes the place of user. */
export function eptRights(low: i32): i32 {
  return (low & RIGHTS_W) | ((low & EPT_R) !== 0 ? RIGHTS_U : 0) | ((low & EPT_X) !== 0 ? RIGHTS_X : 0);
}

/** Whether a present EPT entry is malformed apart from reserved bits; leaves have a memory type in bits 5:3. */
export function isMalformed(walker: usize, entry: i32, isLeaf: bool): bool {
  if (((load<i32>(walker, MALFORMED_RIGHTS) >>> (entry & 7)) & 1) !== 0) return true;
  return isLeaf && ((load<i32>(walker, ODD_MEMORY_TYPES) >>> ((entry >>> EPT_TYPE_SHIFT) & 7)) & 1) !== 0;
}
