// SPDX-License-Identifier: GPL-2.0-only
/**
 * Events as bytes, before compression. Each is a number of 7 bits a byte, low bits first (LEB128):
 *
 *     |… 2|1 0|   low bits 0 READ, 1 WRITE, 2 EXEC: above them the distance to the page of the last such event, as
 *                 zigzag (0, -1, 1, -2 …)
 *                 3: above them the kind; two more numbers follow, bits 23:0 of `hi`, then `lo`
 *
 * The second form also takes accesses that the first cannot hold: 2 ** 28 pages and more away, or bits that mean nothing.
 * Each chunk begins with a distance to page 0, so that it can be read alone.
 */
import { EVENT, KIND_SHIFT, PAGE_HIGH } from './events.ts';

/** Bytes that one event takes at most: kind 255 in two, 24 bits in four, 32 bits in five. */
export const MOST_EVENT_BYTES = 11;

const LOW_BITS = 2;
const OTHER = 3;
const FARTHEST = 1 << 28;
const KINDS: readonly number[] = [EVENT.READ, EVENT.WRITE, EVENT.EXEC];
/** Low bits by kind, for kinds up to EXEC. */
const formOf = Uint8Array.from({ length: EVENT.EXEC + 1 }, (_, kind) => {
  const form = KINDS.indexOf(kind);
  return form < 0 ? OTHER : form;
});

/** Encodes `count` events from `trace[0]` on into `bytes`, which must have MOST_EVENT_BYTES for each; returns its length. */
export function encodeEvents(trace: Int32Array, count: number, bytes: Uint8Array): number {
  let at = 0;
  let lastLo = 0;
  let lastHigh = 0;
  for (let i = 0; i < count; i++) {
    const lo = trace[2 * i]!;
    const hi = trace[2 * i + 1]!;
    const kind = hi >>> KIND_SHIFT;
    const form = kind <= EVENT.EXEC ? formOf[kind]! : OTHER;
    if (form !== OTHER) {
      const distance = (lo - lastLo) | 0;
      const isNear = (hi & 0xffffff) === lastHigh && distance >= -FARTHEST && distance < FARTHEST;
      lastLo = lo;
      lastHigh = hi & PAGE_HIGH;
      if (isNear) {
        let value = ((((distance << 1) ^ (distance >> 31)) << LOW_BITS) | form) >>> 0;
        while (value > 0x7f) {
          bytes[at++] = (value & 0x7f) | 0x80;
          value >>>= 7;
        }
        bytes[at++] = value;
        continue;
      }
    }
    at = putNumber(bytes, at, (kind << LOW_BITS) | OTHER);
    at = putNumber(bytes, at, hi & 0xffffff);
    at = putNumber(bytes, at, lo >>> 0);
  }
  return at;
}

function putNumber(bytes: Uint8Array, at: number, value: number): number {
  while (value > 0x7f) {
    bytes[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[at++] = value;
  return at;
}

/** Decodes `count` events into `trace`. False when the bytes are not exactly that many events. */
export function decodeEvents(bytes: Uint8Array, count: number, trace: Int32Array): boolean {
  let at = 0;
  let lastLo = 0;
  let lastHigh = 0;
  // Reads a number from `at` on: the four bytes that most numbers have at most, then the general case. Bytes past the end
  // are undefined, which is 0 in bit operations; `at` tells in the end.
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) break;
    }
    return value;
  };
  for (let i = 0; i < count; i++) {
    if (at >= bytes.length) return false;
    let value = bytes[at++]!;
    if (value > 0x7f) {
      value &= 0x7f;
      for (let shift = 7; shift < 35; shift += 7) {
        const byte = bytes[at++]!;
        value |= (byte & 0x7f) << shift;
        if ((byte & 0x80) === 0) break;
      }
    }
    const form = value & OTHER;
    const rest = value >>> LOW_BITS;
    if (form !== OTHER) {
      lastLo = (lastLo + ((rest >>> 1) ^ -(rest & 1))) | 0;
      trace[2 * i] = lastLo;
      trace[2 * i + 1] = (KINDS[form]! << KIND_SHIFT) | lastHigh;
      continue;
    }
    const low = number() & 0xffffff;
    const lo = number();
    trace[2 * i] = lo;
    trace[2 * i + 1] = (rest << KIND_SHIFT) | low;
    if (rest <= EVENT.EXEC && formOf[rest] !== OTHER) {
      lastLo = lo;
      lastHigh = low & PAGE_HIGH;
    }
  }
  return at === bytes.length;
}
