// SPDX-License-Identifier: GPL-2.0-only
/**
 * Paging-structure caches (SDM vol. 3A 4.10.3). The entry of level n for an address stands for the walk from the root
 * through level n: it holds the frame of the next table, and the rights so far.
 */
import {
  CACHES_FRAME,
  CACHES_HIGH,
  CACHES_HITS,
  CACHES_LEVEL,
  CACHES_LOW,
  CACHES_TAG,
  LANE_FLAGS,
  LANE_FRAME,
} from './layout';
import { find, putAt, use } from './ways';

/** Bits 56:0 of an address; those above only repeat the sign. */
export const ADDRESS_BITS: u64 = ((<u64>1) << 57) - 1;
/** Flags of an entry: the AND of the low bits in bits 2:0, an NX bit in bit 3, frame bits 39:32 in bits 31:24. */
const NX_SHIFT = 3;
const FRAME_HIGH_SHIFT = 24;

/** Deepest cached level for an address among tables `levels` deep, and the last hit is that; 0 when nothing is cached. */
export function lookUp(caches: usize, va: u64, levels: i32): i32 {
  for (let level = 2; level <= levels; level++) {
    const ways = structure(caches, level);
    if (ways === 0) continue;
    const lane = find(ways, keyOf(va, level), tagOf(caches, va, level));
    if (lane === 0) continue;
    use(ways, lane);
    const flags = load<u32>(lane, LANE_FLAGS);
    store<u64>(caches, load<u64>(caches, CACHES_HITS) + 1, CACHES_HITS);
    store<u64>(caches, <u64>load<u32>(lane, LANE_FRAME) | ((<u64>(flags >> FRAME_HIGH_SHIFT)) << 32), CACHES_FRAME);
    store<u32>(caches, flags & 7, CACHES_LOW);
    store<u64>(caches, (<u64>((flags >> NX_SHIFT) & 1)) << 63, CACHES_HIGH);
    return level;
  }
  return 0;
}

/**
 * Keeps what a walk found at `level`, which `lookUp` did not find for it: the next table's frame, the AND of low bits and the
 * OR of entries so far.
 */
export function keep(caches: usize, va: u64, level: i32, frame: u64, low: i32, any: u64): void {
  const ways = structure(caches, level);
  if (ways === 0) return;
  const flags = (low & 7) | ((<i32>(any >> 63)) << NX_SHIFT) | ((<i32>(frame >> 32)) << FRAME_HIGH_SHIFT);
  putAt(ways, 0, keyOf(va, level), tagOf(caches, va, level), <i32>frame, flags);
}

function structure(caches: usize, level: i32): usize {
  return load<usize>(caches + ((<usize>level) << 2), CACHES_LEVEL);
}

/** Address bits from the index of `level` up. */
function prefixOf(va: u64, level: i32): u64 {
  return (va & ADDRESS_BITS) >> (3 + 9 * level);
}

function keyOf(va: u64, level: i32): u32 {
  return <u32>prefixOf(va, level);
}

/** The 4 bits of a 57-bit address that the key of level 2 has no room for are in the tag. */
function tagOf(caches: usize, va: u64, level: i32): i32 {
  return load<i32>(caches, CACHES_TAG) | <i32>(prefixOf(va, level) >> 32);
}
