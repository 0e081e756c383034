// SPDX-License-Identifier: GPL-2.0-only
/**
 * Set-associative structures with true LRU: the levels of the TLB and the paging-structure caches. As in hardware all ways
 * of a set are compared at once, four to a vector. A lane is the address of an entry's key; its other fields are at fixed
 * distances from there.
 */
import {
  CLOCK,
  CLOCK_END,
  GROUP_BYTES,
  GROUPS,
  LANE_FLAGS,
  LANE_FRAME,
  LANE_KEY,
  LANE_STAMP,
  LANE_TAG,
  PADDING_STAMP,
  SET_MASK,
  SETS,
} from './layout';

/** First group of the set of a key. */
export function setOf(ways: usize, key: u32): usize {
  return ways + SETS + <usize>((key & load<u32>(ways, SET_MASK)) * load<u32>(ways, GROUPS) * GROUP_BYTES);
}

/** The lane with a key and tag, 0 when there is none. */
export function find(ways: usize, key: u32, tag: i32): usize {
  const keys = i32x4.splat(key);
  const tags = i32x4.splat(tag);
  let group = setOf(ways, key);
  for (let left = load<i32>(ways, GROUPS); left > 0; left--) {
    const equal = matches(group, keys, tags);
    if (equal !== 0) return group + (ctz(equal) << 2);
    group += GROUP_BYTES;
  }
  return 0;
}

/** The lanes of a group whose key and tag are equal to those in two vectors, a bit each. */
export function matches(group: usize, keys: v128, tags: v128): i32 {
  const equalKeys = i32x4.eq(v128.load(group, LANE_KEY), keys);
  return i32x4.bitmask(v128.and(equalKeys, i32x4.eq(v128.load(group, LANE_TAG), tags)));
}

/** Stamps a lane as the one used last. */
export function use(ways: usize, lane: usize): void {
  let clock = load<i32>(ways, CLOCK) + 1;
  if (clock >= CLOCK_END) clock = renumber(ways) + 1;
  store<i32>(ways, clock, CLOCK);
  store<i32>(lane, clock, LANE_STAMP);
}

/** Writes an entry and stamps it: in place of the one with this key and tag, else of the set's least recently used. */
export function put(ways: usize, key: u32, tag: i32, frame: i32, flags: i32): void {
  putAt(ways, find(ways, key, tag), key, tag, frame, flags);
}

/** As `put`, when `lane` is known to have the key and tag, or to be 0 because none has. */
export function putAt(ways: usize, lane: usize, key: u32, tag: i32, frame: i32, flags: i32): void {
  if (lane === 0) {
    lane = oldest(setOf(ways, key), load<i32>(ways, GROUPS));
    store<u32>(lane, key, LANE_KEY);
    store<i32>(lane, tag, LANE_TAG);
  }
  store<i32>(lane, frame, LANE_FRAME);
  store<i32>(lane, flags, LANE_FLAGS);
  use(ways, lane);
}

/** Frees an entry, so that it is replaced first. */
export function drop(ways: usize, key: u32, tag: i32): void {
  const lane = find(ways, key, tag);
  if (lane === 0) return;
  store<i32>(lane, 0, LANE_TAG);
  store<i32>(lane, 0, LANE_STAMP);
}

/** The lane of a set that was used longest ago, the first of several free ones. */
function oldest(set: usize, groups: i32): usize {
  let group = set;
  let least = v128.load(group, LANE_STAMP);
  for (let left = groups - 1; left > 0; left--) {
    group += GROUP_BYTES;
    least = i32x4.min_s(least, v128.load(group, LANE_STAMP));
  }
  least = i32x4.min_s(least, v128.shuffle<i32>(least, least, 2, 3, 0, 1));
  least = i32x4.min_s(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  group = set;
  let equal = i32x4.bitmask(i32x4.eq(least, v128.load(group, LANE_STAMP)));
  while (equal === 0) {
    group += GROUP_BYTES;
    equal = i32x4.bitmask(i32x4.eq(least, v128.load(group, LANE_STAMP)));
  }
  return group + (ctz(equal) << 2);
}

/** Replaces the stamps of each set by their ranks before they overflow. Returns the new clock, the highest rank possible. */
function renumber(ways: usize): i32 {
  const lanes = load<i32>(ways, GROUPS) << 2;
  const sets = load<i32>(ways, SET_MASK) + 1;
  for (let set: i32 = 0; set < sets; set++) {
    const first = setOf(ways, set);
    // Ranks are negative while stamps are left, so that the two are told apart.
    for (let rank = 1; rank <= lanes; rank++) {
      let least: usize = 0;
      for (let n = 0; n < lanes; n++) {
        const lane = laneAt(first, n);
        const stamp = load<i32>(lane, LANE_STAMP);
        if (stamp <= 0 || stamp === PADDING_STAMP) continue;
        if (least === 0 || stamp < load<i32>(least, LANE_STAMP)) least = lane;
      }
      if (least !== 0) store<i32>(least, -rank, LANE_STAMP);
    }
    for (let n = 0; n < lanes; n++) {
      const lane = laneAt(first, n);
      const stamp = load<i32>(lane, LANE_STAMP);
      if (stamp < 0) store<i32>(lane, -stamp, LANE_STAMP);
    }
  }
  return lanes;
}

function laneAt(first: usize, n: i32): usize {
  return first + <usize>((n >> 2) * GROUP_BYTES + ((n & 3) << 2));
}
