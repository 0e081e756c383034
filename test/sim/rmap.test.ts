// SPDX-License-Identifier: GPL-2.0-only
/** The reverse map and the table behind it, against plain maps. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FrameTable } from '../../src/sim/frame-table.ts';
import { ReverseMap } from '../../src/sim/rmap.ts';

/** Few frames, so that they meet, in RAM of every size. */
const frame = fc.constantFrom(0, 1, 511, 512, 0x4_0000, 2 ** 22 + 7, 2 ** 28 - 1, 2 ** 28, 2 ** 40 - 1);

it('a frame table holds what was put last', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(frame, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }))), (puts) => {
      const table = new FrameTable();
      const model = new Map<number, number>();
      for (const [at, value] of puts) {
        table.put(at, value);
        model.set(at, value);
        for (const [known, expected] of model) expect(table.get(known)).toBe(expected);
        expect(table.get(at + 1024)).toBe(model.get(at + 1024) ?? 0);
      }
    }),
  );
});

it('the reverse map lists the entries of a frame and size, newest first', () => {
  const step = fc.record({
    gfn: frame,
    level: fc.integer({ min: 1, max: 3 }),
    page: fc.integer({ min: 1, max: 3 }),
    index: fc.constantFrom(0, 511),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rmap = new ReverseMap();
      const model = new Map<string, number[]>();
      for (const { gfn, level, page, index } of steps) {
        const key = `${level}:${Math.floor(gfn / 512 ** (level - 1))}`;
        const known = model.get(key) ?? [];
        const entry = page * 512 + index;
        if (known.includes(entry)) {
          rmap.remove(gfn, level, page, index);
          model.set(
            key,
            known.filter((other) => other !== entry),
          );
          expect(() => rmap.remove(gfn, level, page, index)).toThrow('does not map');
        } else {
          rmap.add(gfn, level, page, index);
          model.set(key, [entry, ...known]);
        }
        expect(rmap.entries(gfn, level)).toEqual(model.get(key));
        expect(rmap.isEmpty(gfn, level)).toBe(model.get(key)!.length === 0);
      }
    }),
  );
});
