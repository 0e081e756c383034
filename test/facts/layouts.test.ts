// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { eraRecord, halfLayout, layoutRecord, loadFacts } from '../../src/facts/index.ts';
import { decode } from '../../src/role/layout.ts';

interface HeaderField {
  readonly name: string;
  readonly shift: number;
  readonly width: number;
}

interface VectorFile {
  readonly header?: { readonly base_layout: HeaderField[]; readonly ext_layout: HeaderField[] };
  readonly constants?: { readonly role_bits: Record<string, [number, number]> };
}

function vectorFile(name: string): VectorFile {
  const bytes = readFileSync(new URL(`../vectors/${name}`, import.meta.url));
  return JSON.parse((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')) as VectorFile;
}

const fieldsOf = (id: string, half: 'base' | 'ext'): HeaderField[] =>
  (halfLayout(layoutRecord(eraRecord(id).layout), half)?.fields ?? [])
    .filter(({ pad }) => !pad)
    .map(({ name, shift, width }) => ({ name, shift, width }));

describe('layouts against the headers of the vectors from real code', () => {
  test.each([
    ['v5.10', 'v5.10-roles.json.gz'],
    ['v5.17', 'v5.17-roles.json.gz'],
    // The series changes no role function; its vectors name no layout of their own.
    ['no-unload-v2', 'v5.17-roles.json.gz'],
    ['cpu-role^', 'b8980508-roles.json.gz'],
    ['cpu-role', 'e5ed0fb0-roles.json.gz'],
    ['root-role', '7a458f0e-roles.json.gz'],
    ['cr0wp', '01b31714-roles.json.gz'],
  ])('%s: %s', (era, file) => {
    const { header } = vectorFile(file);
    expect(fieldsOf(era, 'base')).toEqual(header!.base_layout);
    expect(fieldsOf(era, 'ext')).toEqual(header!.ext_layout);
  });

  test.each([
    ['base-role', 'a770f6f2-roles.json', { pad: 'pad_for_nice_hex_output' }],
    ['role-union', '36d9594d-roles.json.gz', { unused: null }],
    ['v4.20', 'v4.20-roles.json.gz', { unused: null }],
  ] as const)('%s: %s', (era, file, renames: Readonly<Record<string, string | null>>) => {
    const expected = Object.entries(vectorFile(file).constants!.role_bits).flatMap(([name, [shift, width]]) => {
      const here = name in renames ? renames[name] : name;
      return here ? [{ name: here, shift, width }] : [];
    });
    expect(fieldsOf(era, 'base')).toEqual(expected);
  });

  test('a 32-bit role has no extended half, the first union has one without fields', () => {
    expect(layoutRecord(eraRecord('base-role').layout).ext).toBeUndefined();
    expect(fieldsOf('role-union', 'ext')).toEqual([]);
    expect(layoutRecord(eraRecord('role-union').layout).ext).toEqual([]);
  });
});

describe('layouts', () => {
  test('every field of every layout is a record of role-bits.json', () => {
    const { layouts, roleBits } = loadFacts();
    const known = new Set(roleBits.bits.map(({ name, union }) => `${union}.${name}`));
    for (const record of layouts) {
      for (const { field } of record.base) if (field !== '(pad)') expect(known).toContain(`kvm_mmu_page_role.${field}`);
      for (const { field } of record.ext ?? []) expect(known).toContain(`kvm_mmu_extended_role.${field}`);
    }
  });

  test('a layout takes its place after the one it names', () => {
    const ids = loadFacts().layouts.map(({ id }) => id);
    expect(ids.slice(ids.indexOf('L2015'), ids.indexOf('L2020') + 1)).toEqual(['L2015', 'L2018a', 'L2018b', 'L2020']);
  });

  test('the TDP root word of a long-mode guest, recorded on real kernels', () => {
    // 0x3784: level 4, direct, access 7, efer_nx, cr0_wp; in the layout of 2026 the same bits would read as access 7
    // and invalid, which is why 0x6f84 is the word there.
    const old = halfLayout(layoutRecord('L2022b'), 'base')!;
    expect(decode(old, 0x3784).fields).toMatchObject({
      level: 4,
      direct: 1,
      access: 7,
      invalid: 0,
      efer_nx: 1,
      cr0_wp: 1,
    });
    const later = halfLayout(layoutRecord('L2026'), 'base')!;
    expect(decode(later, 0x6f84).fields).toMatchObject({
      level: 4,
      direct: 1,
      access: 15,
      invalid: 0,
      efer_nx: 1,
      cr0_wp: 1,
    });
    expect(decode(later, 0x6f84).unknown).toBe(0);
  });

  test('an unknown layout is a mistake with the known ones', () => {
    expect(() => layoutRecord('L1999')).toThrow(/^layout: unknown layout "L1999"\n {2}expected: one of L2007, L2008/);
  });
});
