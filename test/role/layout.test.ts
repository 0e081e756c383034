// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode, encode, fieldOf, get, type Layout, layout, nonZero, pad, set } from '../../src/role/layout.ts';
import { portFolders } from './folders.ts';

const isLayout = (value: unknown): value is Layout =>
  typeof value === 'object' && value !== null && 'fields' in value && 'bits' in value;

/** Every layout that a port's role.ts exports. */
async function layoutsOf(folder: string): Promise<[string, Layout][]> {
  const exports = (await import(`../../snapshots/${folder}/role.ts`)) as Record<string, unknown>;
  return Object.entries(exports).filter((entry): entry is [string, Layout] => isLayout(entry[1]));
}

const layouts = (
  await Promise.all(portFolders.map(async (port) => (await layoutsOf(port)).map(([name, of]) => ({ port, name, of }))))
).flat();

/** A value for every named field, each within its width. */
const valuesOf = (of: Layout): fc.Arbitrary<Record<string, number>> =>
  fc.record(
    Object.fromEntries([...of.byName.values()].map(({ name, mask }) => [name, fc.integer({ min: 0, max: mask })])),
  );

describe('every port has a layout for page roles', () => {
  it.each(portFolders)('%s', (port) => {
    expect(layouts.filter((one) => one.port === port).map(({ name }) => name)).toContain('kvm_mmu_page_role');
  });
});

describe.each(layouts)('$port $name', ({ of }) => {
  it('decode undoes encode, and no unnamed bit is set', () => {
    fc.assert(
      fc.property(valuesOf(of), (values) => {
        const { fields, unknown } = decode(of, encode(of, values));
        expect(fields).toEqual(values);
        expect(unknown).toBe(0);
      }),
    );
  });

  it('encode undoes decode but for unnamed bits, which decode keeps apart', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (word) => {
        const { fields, unknown } = decode(of, word);
        expect((encode(of, fields) | unknown) >>> 0).toBe(word);
        expect((encode(of, fields) & unknown) >>> 0).toBe(0);
        expect(encode(of, nonZero(of, word))).toBe(encode(of, fields));
      }),
    );
  });

  it('fields cover 32 bits without gap or overlap', () => {
    let next = 0;
    for (const { shift, width } of of.fields) {
      expect(shift).toBe(next);
      next += width;
    }
    expect(next).toBe(32);
  });

  it('set changes one field and cuts the value to its width', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.constantFrom(...of.byName.keys()),
        fc.integer({ min: 0, max: 0xffffffff }),
        (word, name, value) => {
          const field = fieldOf(of, name);
          const changed = set(word, field, value);
          expect(get(changed, field)).toBe((value & field.mask) >>> 0);
          for (const other of of.fields) if (other.name !== name) expect(get(changed, other)).toBe(get(word, other));
        },
      ),
    );
  });
});

describe('layouts that cannot be are refused', () => {
  const refused = (declarations: Parameters<typeof layout>[1]) => () => layout(32, declarations);

  it('too few or too many bits', () => {
    expect(refused([['level', 4], pad(27)])).toThrow('31 bits of 32');
    expect(refused([['level', 4], pad(29)])).toThrow('33 bits of 32');
  });
  it('a name twice', () => {
    expect(
      refused([
        ['level', 4],
        ['level', 28],
      ]),
    ).toThrow('level is declared twice');
  });
  it('a width that is no whole number of bits', () => {
    expect(refused([['level', 0], pad(32)])).toThrow('width 0');
    expect(refused([['level', 1.5], pad(30.5)] as never)).toThrow('width 1.5');
    expect(refused([['level', 33]])).toThrow('width 33');
    expect(refused([['level', -4], pad(36)] as never)).toThrow('width -4');
  });
  it('values that do not fit, fields that do not exist', () => {
    const of = layout(32, [['level', 4], pad(28)]);
    expect(() => encode(of, { level: 16 })).toThrow('does not fit in 4 bits');
    expect(() => encode(of, { level: -1 })).toThrow('does not fit');
    expect(() => encode(of, { quadrant: 1 })).toThrow('no field quadrant');
  });
});
