// SPDX-License-Identifier: GPL-2.0-only
/** Parts of addresses by multiplication are those by division and remainder. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { firstFrame, framesOf, tableIndex, tableIndexOfFrame } from '../../src/sim/address-parts.ts';

const level = fc.integer({ min: 1, max: 5 });
const frame = fc.maxSafeInteger().map((value) => Math.abs(value) % 2 ** 40);
/** Pages of the whole linear address space, and the edges of its halves. */
const page = fc.oneof(
  fc.maxSafeInteger().map((value) => (Math.abs(value) % 2 ** 52) * 4096),
  fc.constantFrom(0, 2 ** 47 - 4096, 2 ** 64 - 2 ** 47, 2 ** 63, 2 ** 64 - 4096),
);

it('an index into a table', () => {
  fc.assert(
    fc.property(page, level, (address, at) => {
      expect(tableIndex(address, at)).toBe(Number((BigInt(address) >> BigInt(3 + 9 * at)) & 511n));
    }),
  );
});

it('an index by frame, frames in a page, the first frame of a page', () => {
  fc.assert(
    fc.property(frame, level, (gfn, at) => {
      const frames = 512 ** (at - 1);
      expect(framesOf(at)).toBe(frames);
      expect(tableIndexOfFrame(gfn, at)).toBe(Math.floor(gfn / frames) % 512);
      expect(firstFrame(gfn, at)).toBe(gfn - (gfn % frames));
    }),
  );
});
