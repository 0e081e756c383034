// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_TABLE_FRAME, PAGE_WORDS, PhysicalMemory } from '../../src/sim/memory.ts';

/** Frames on both sides of every boundary between a window and the hash. */
const frames = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 2 ** 22 - 3, max: 2 ** 22 + 3 }),
  fc.integer({ min: HOST_TABLE_FRAME - 2, max: HOST_TABLE_FRAME + 40 }),
  fc.integer({ min: HOST_TABLE_FRAME + 2 ** 22 - 3, max: HOST_TABLE_FRAME + 2 ** 22 + 3 }),
  fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 33, 2 ** 36 + 5, 2 ** 40 - 1),
  fc.maxSafeInteger().map((n) => Math.abs(n) % 2 ** 40),
);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant('write' as const), frames, fc.integer()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('release' as const), frames, fc.constant(0)) },
);

describe('physical memory', () => {
  it('reads what was written, whatever frames come and go', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const memory = new PhysicalMemory();
        const model = new Map<number, number>();
        for (const [what, frame, value] of steps) {
          if (what === 'write') {
            memory.write32(frame * 4096 + 8, value);
            model.set(frame, value >>> 0);
          } else {
            memory.releaseFrame(frame);
            model.delete(frame);
          }
        }
        expect(memory.pages).toBe(model.size);
        for (const [, frame] of steps) {
          expect(memory.read32(frame * 4096 + 8)).toBe(model.get(frame) ?? 0);
          expect(memory.slotOf(frame) >= 0).toBe(model.has(frame));
        }
      }),
    );
  });

  it.each([0, HOST_TABLE_FRAME])(
    'finds frames past the end of the window at %i when it grows to its bound',
    (first) => {
      const memory = new PhysicalMemory();
      const end = first + 2 ** 22;
      for (const frame of [end - 2, end + 1, end - 1]) memory.write32(frame * 4096, frame);
      expect([end - 2, end + 1, end - 1].map((frame) => memory.read32(frame * 4096))).toEqual([
        end - 2,
        end + 1,
        end - 1,
      ]);
    },
  );

  it('places 64-bit entry i of a page at words 2i and 2i + 1 of its slot', () => {
    const memory = new PhysicalMemory();
    memory.write64(0x5000 + 8 * 3, 0x89abcdef, 0x01234567);
    const slot = memory.slotOf(5);
    expect(memory.words[slot * PAGE_WORDS + 6]! >>> 0).toBe(0x89abcdef);
    expect(memory.words[slot * PAGE_WORDS + 7]).toBe(0x01234567);
    expect(memory.read64lo(0x5018)).toBe(0x89abcdef);
    expect(memory.read64hi(0x5018)).toBe(0x01234567);
  });

  it('gives absent frames the page of zeros and creates nothing by reading', () => {
    const memory = new PhysicalMemory();
    expect(memory.slotOf(7)).toBe(-1);
    expect(memory.slotOrZero(7)).toBe(0);
    expect(memory.read32(0x7000)).toBe(0);
    expect(memory.pages).toBe(0);
  });

  it('gives a page of zeros for a frame whose slot had content before', () => {
    const memory = new PhysicalMemory();
    memory.write32(0x1000, 77);
    const slot = memory.slotOf(1);
    memory.releaseFrame(1);
    expect(memory.slotFor(2)).toBe(slot);
    expect(memory.read32(0x2000)).toBe(0);
  });

  it('refuses frames that no 52-bit address has', () => {
    const memory = new PhysicalMemory();
    for (const frame of [-1, 0.5, 2 ** 40]) expect(() => memory.slotFor(frame)).toThrow('no frame');
  });
});
