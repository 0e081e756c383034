// SPDX-License-Identifier: GPL-2.0-only
import { DENSE_FRAMES, HOST_TABLE_FRAME, JOURNAL, JOURNAL_COUNT, JOURNAL_ON, LOW_SLOTS, TABLE_SLOTS } from './layout';

/** Slot of a frame beyond the dense windows. */
declare function farSlot(frame: f64): i32;

/** Where the page of a frame is; the page of zeros when it is absent. */
export function pageAt(frame: u64): usize {
  if (frame < <u64>DENSE_FRAMES) return slotAt(load<u32>((<usize>frame) << 2, LOW_SLOTS));
  const table = frame - HOST_TABLE_FRAME;
  if (table < <u64>DENSE_FRAMES) return slotAt(load<u32>((<usize>table) << 2, TABLE_SLOTS));
  return slotAt(farSlot(<f64>frame));
}

function slotAt(slot: u32): usize {
  return (<usize>slot) << 12;
}

/** Writes a marked entry back, and notes it while somebody wants to know. */
export function writeMarked(at: usize, entry: u64, bytes: i32): void {
  if (bytes === 8) store<u64>(at, entry);
  else store<u32>(at, <u32>entry);
  if (load<i32>(JOURNAL_ON) === 0) return;
  const count = load<i32>(JOURNAL_COUNT);
  store<usize>((<usize>count) << 2, at, JOURNAL);
  store<i32>(JOURNAL_COUNT, count + 1);
}
