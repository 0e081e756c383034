// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { loadWorkload } from '../../src/workload/bundled.ts';
import { buildImage } from '../../src/workload/image.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { compile, type Program, type Step } from '../../src/workload/program.ts';
import { faultTouches } from '../../src/workload/touches.ts';

const space = ['pt A l4', 'ident A', 'map A 0x10000000 0x400000 4 4k pw'];
const long = [...space, 'prot32', 'enterlong A'];

const program = (...lines: string[]): Program => compile(parseOps(lines.join('\n'), 'x.ops'));
/** Steps after the seven that bring the guest to long mode: PE, far, PAE, CR3, EFER, PG, far. */
const steps = (...lines: string[]): readonly Step[] => program(...long, ...lines).steps.slice(7);

describe('register values are whole registers', () => {
  test('on the way to long mode', () => {
    expect(program(...long).steps).toMatchObject([
      { kind: 'cr0', value: 0x11, bits: 16, line: 4 },
      { kind: 'far', to: 32, ltr: false, bits: 16, line: 4 },
      { kind: 'cr4', value: 0x20, tentative: false, bits: 32, line: 5 },
      { kind: 'cr3', value: { lo: 0x100000, hi: 0 }, tree: 'A', line: 5 },
      { kind: 'efer', value: 0x900, line: 5 },
      { kind: 'cr0', value: 0x80010011, line: 5 },
      { kind: 'far', to: 64, ltr: true, bits: 32, line: 5 },
    ]);
  });

  test('a tentative write is not where the next one starts', () => {
    expect(steps('cr4try +PCIDE', 'cr4 +PGE')).toMatchObject([
      { kind: 'cr4', value: 0x20020, tentative: true },
      { kind: 'cr4', value: 0xa0, tentative: false },
    ]);
  });

  test('CR3 with PCID, no flush, PWT and PCD', () => {
    expect(steps('cr3 A pcid=5 noflush', 'cr3 A pwt pcd')).toMatchObject([
      { kind: 'cr3', value: { lo: 0x100005, hi: 0x80000000 } },
      { kind: 'cr3', value: { lo: 0x100018, hi: 0 } },
    ]);
  });

  test('inside an L2 block they start from L1, and after it L1 has its own again', () => {
    const { blocks, steps: all } = program(
      ...long,
      'vmcb V 0x41000 A - 1',
      'cr4 +PGE',
      'svmon',
      'l2 b',
      'cr0 -WP',
      'cr4 +SMEP',
      'endl2',
      'vmrun V b',
      'cr0 +TS',
    );
    expect(blocks.get('b')?.body).toMatchObject([
      { kind: 'cr0', value: 0x80000011 },
      { kind: 'cr4', value: 0x1000a0 },
    ]);
    expect(all.at(-2)).toMatchObject({ kind: 'vmrun', vmcb: 'V', block: { name: 'b', body: [{}, {}] } });
    expect(all.at(-1)).toMatchObject({ kind: 'cr0', value: 0x80010019 });
  });

  test('each vCPU has its own', () => {
    const { vcpus, steps: all } = program('vcpus 2', ...long, 'on 1', 'cr0 +TS', 'endon', 'cr0 +TS');
    expect(vcpus).toBe(2);
    expect(all.slice(7)).toMatchObject([
      { kind: 'cr0', value: 0x18, vcpu: 1, bits: 16 },
      { kind: 'cr0', value: 0x80010019, vcpu: 0, bits: 64 },
    ]);
  });
});

describe('accesses', () => {
  test('where r, w and x and the loops of touch go', () => {
    expect(
      steps('r 0x10000000', 'w 0x10000000', 'x 0x10000000', 'touchw 0x10000000 3', 'touchr 0x10000000 2 0x10'),
    ).toMatchObject([
      { kind: 'access', access: 'r', gva: { lo: 0x10000010 }, cpl: 0 },
      { kind: 'access', access: 'w', gva: { lo: 0x10000018 } },
      { kind: 'access', access: 'x', gva: { lo: 0x10000000 } },
      { kind: 'touch', access: 'w', gva: { lo: 0x10000018 }, count: 3, stride: 0x1000 },
      { kind: 'touch', access: 'r', gva: { lo: 0x10000010 }, count: 2, stride: 0x10 },
    ]);
  });

  test('in ring 3, from the alias of the code', () => {
    const [user] = steps('user', 'r 0x10000000', 'enduser');
    expect(user).toMatchObject({ kind: 'user', cpl: 0, body: [{ kind: 'access', cpl: 3 }] });
    if (user?.kind !== 'user') throw new Error('no user step');
    expect(user.body[0]!.codeAddress).toBe(0x40000000 + user.codeAddress + user.codeBytes);
    // Five pushes below 0x6000; INT 0x80 pushes below RSP0 = 0x5000.
    expect(user.touches.filter((touch) => touch.access === 'w').map((touch) => touch.address)).toEqual([
      0x5ff8, 0x5ff0, 0x5fe8, 0x5fe0, 0x5fd8,
    ]);
    expect(user.afterTouches.map((touch) => touch.address)).toEqual([
      0x3800, 0x1018, 0x1204, 0x4ff8, 0x4ff0, 0x4fe8, 0x4fe0, 0x4fd8,
    ]);
  });

  test('loops keep their count and count in memory, condition and phase read and write page 0', () => {
    expect(steps('repeat 5', 'repeat 7', 'phase p', 'end', 'if smap', 'endif', 'end')).toMatchObject([
      {
        kind: 'repeat',
        count: 5,
        touches: [{ address: 0x600, access: 'w' }],
        roundTouches: [{ address: 0x600, access: 'u' }],
        body: [
          {
            kind: 'repeat',
            count: 7,
            roundTouches: [{ address: 0x608, access: 'u' }],
            body: [{ kind: 'phase', index: 1, name: 'p', touches: [{ address: 0x810, access: 'w' }] }],
          },
          { kind: 'if', feature: 'smap', touches: [{ address: 0x830, access: 'r' }], body: [] },
        ],
      },
    ]);
  });

  const allOf = ({ delivery, handler }: ReturnType<typeof faultTouches>) => [...delivery, ...handler];

  test('a fault of ring 0 in 64-bit code', () => {
    const touched = allOf(faultTouches({ bits: 64, cpl: 0, vector: 14, nth: 2 })).map(({ address }) => address);
    // Gate 14 of the IDT, CS; then the log entry 2 and the count of faults.
    expect(touched.slice(0, 2)).toEqual([0x30e0, 0x1018]);
    expect(touched).toEqual(expect.arrayContaining([0x800, 0x50020, 0x50028, 0x5002c, 0x810]));
    expect(touched.filter((address) => address >= 0x4000 && address < 0x5000)).toEqual([]);
  });

  test('a fault of ring 3 uses the other stack', () => {
    const touched = allOf(faultTouches({ bits: 64, cpl: 3, vector: 14, nth: 0 })).map(({ address }) => address);
    expect(touched.filter((address) => address >= 0x5000 && address < 0x6000)).toEqual([]);
    expect(touched).toEqual(expect.arrayContaining([0x1204, 0x4ff8, 0x4fd0, 0x50000]));
  });
});

describe('stores of the guest into its structures', () => {
  // The tree A of `long`: root 0x100000, and the table of 0x10000000 is the seventh page.
  test('an entry in 64-bit code', () => {
    expect(steps('pte A 0x10001000 1 pwn 0x401000', 'pte A 0x10001000 1 0')).toMatchObject([
      { kind: 'store', what: 'pte', of: 'A', address: 0x106008, bytes: 8, lo: 0x401003, hi: 0x80000000 },
      { kind: 'store', address: 0x106008, bytes: 8, lo: 0, hi: 0 },
    ]);
  });

  test('upper levels: T makes a large page, without it bit 7 of the address is dropped', () => {
    expect(
      steps('pte A 0x10000000 2 pwT 0x600000', 'pte A 0x10000000 2 pwu 0x106080', 'pte A 0x0 1 pT 0x0'),
    ).toMatchObject([
      { address: 0x102400, lo: 0x600083 },
      { address: 0x102400, lo: 0x106007 },
      { address: 0x103000, lo: 0x1 },
    ]);
  });

  test('32-bit code writes half of an 8-byte entry, 64-bit code two 4-byte ones', () => {
    const lines = ['pt P leg32', 'map P 0x0 0x0 1 4k p', ...space, 'prot32'];
    const { steps: all } = program(
      ...lines,
      'pte A 0x10000000 1 pwn 0x400000',
      'enterlong A',
      'pte P 0x0 1 pwn 0x1000',
    );
    expect(all[2]).toMatchObject({ kind: 'store', bytes: 4, lo: 0x400003, hi: 0 });
    expect(all.at(-1)).toMatchObject({ kind: 'store', address: 0x101000, bytes: 8, lo: 0x1003, hi: 0 });
  });

  test('PDPTEs, four halves', () => {
    const { steps: all } = program('pt P pae', 'prot32', 'pdptes P');
    expect(all.slice(2)).toMatchObject(
      [0, 1, 2, 3].map((i) => ({
        kind: 'store',
        what: 'pdpte',
        address: 0x100000 + 8 * i,
        bytes: 4,
        lo: 0x101001 + 0x1000 * i,
      })),
    );
  });

  test('a field of a VMCB', () => {
    const vmcb = ['vmcb V 0x42000 A - 7', 'vmcbset V 0x550 8 A', 'vmcbset V 0x58 4 0x100000002'];
    expect(steps(...vmcb)).toMatchObject([
      { kind: 'store', what: 'vmcb', of: 'V', address: 0x42550, bytes: 8, lo: 0x100000, hi: 0 },
      { kind: 'store', address: 0x42058, bytes: 4, lo: 2, hi: 0 },
    ]);
  });
});

describe('the image', () => {
  test('VMCB and VMCS as L2 starts with them', () => {
    const text = [
      ...space,
      'pt N l5',
      'vmcb V 0x41000 A N 3',
      'vmcb U 0x42000 A - 4',
      'vmcs W A N vpid=2',
      'vmcs X A -',
    ];
    const { vmcbs, vmcses, areas, poolPages } = buildImage(parseOps(text.join('\n'), 'x.ops'));
    const state = { cr0: 0x80010011, cr3: 0x100000, cr4: 0x20, efer: 0x1d00 };
    expect(vmcbs.get('V')).toEqual({ ...state, name: 'V', address: 0x41000, asid: 3, nestedCr3: 0x107000 });
    expect(vmcbs.get('U')).toEqual({ ...state, name: 'U', address: 0x42000, asid: 4, nestedCr3: undefined });
    // In VMX operation CR0.NE and CR4.VMXE are 1; there is no SVME.
    const vmx = { cr0: 0x80010031, cr3: 0x100000, cr4: 0x2020, efer: 0xd00 };
    const ept = { root: 0x107000, levels: 5 };
    expect(vmcses.get('W')).toEqual({ ...vmx, name: 'W', address: 0x60000, vpid: 2, ept });
    expect(vmcses.get('X')).toEqual({ ...vmx, name: 'X', address: 0x61000, vpid: 0, ept: undefined });
    expect(poolPages).toBe(8);
    expect(areas.find((area) => area.name === 'page tables')).toEqual({
      name: 'page tables',
      start: 0x100000,
      end: 0x108000,
    });
  });

  test('the SMM handler of smm-pae', () => {
    const { smm, phases } = compile(loadWorkload('smm-pae'));
    expect(smm).toMatchObject({ phase: 1, phaseName: 'in-smm', codeAddress: 0x38000 });
    expect(smm.clears).toEqual([0x100000, 0x100008, 0x100010, 0x100018]);
    // 8 bytes that save and restore, 3 + 6 + 2 for the OUT, 12 for each word, RSM.
    expect(smm.codeBytes).toBe(8 + 11 + 48 + 2);
    expect(phases[0]).toBe('in-smm');
  });
});

test('host events and bulk accesses are steps of their own', () => {
  expect(steps('memslot move', 'bulk w 0x10000000 4 1000000 zipf seed=3')).toMatchObject([
    { kind: 'memslot', action: 'move', codeBytes: 0 },
    { kind: 'bulk', access: 'w', gva: { lo: 0x10000018 }, pages: 4, count: 1_000_000, distribution: 'zipf', seed: 3 },
  ]);
});

test('a VMX entry runs the block that an l2 defines, before or after it', () => {
  const lines = ['vmcs W A -', 'vmentry W b', 'l2 b', 'r 0x10000000', 'endl2'];
  expect(steps(...lines)).toMatchObject([
    { kind: 'vmentry', vmcs: 'W', block: { name: 'b', body: [{ kind: 'access', access: 'r' }] } },
  ]);
});
