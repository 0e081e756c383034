// SPDX-License-Identifier: GPL-2.0-only
/**
 * Addresses in the upper half, which no double holds to the last bit: 0xffff8000... in 4-level tables, 0xff00... in 5-level
 * ones (SDM vol. 1 3.3.7.1). What the guest's handler sees in CR2 must be exact, and INVLPG and INVPCID must hit the page.
 */
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { Mode } from '../../src/era.ts';
import { isAvailable } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { parseOps } from '../../src/workload/parse.ts';

/** Tables of a format; the text stands below a half's first address. Reads are at +0x10, writes at +0x18. */
const program = (format: string, more: string, half: string) => `pt A ${format}
ident A
map A ${half}00000000 0x400000 8 4k pw
map A ${half}00010000 0x410000 1 4k p
map A ${half}3fe00000 0x600000 1 2m pw
prot32
enterlong A${more}
phase mapped
touchw ${half}00000000 8
touchr ${half}00000fed 8
touchw ${half}3fe00fe7 3
phase refused
touchr ${half}00008fed 1
touchw ${half}00007fe9 1
w ${half}00010000
touchw ${half}3fdfffe1 1
touchw ${half}3fffffef 1
phase invlpg
r ${half}00003000
r ${half}00004000
pte A ${half}00003000 1 0
invlpg ${half}00003ffd
r ${half}00003000
r ${half}00004000
pte A ${half}00003000 1 pw 0x403000
r ${half}00003000
if invpcid
r ${half}00005000
pte A ${half}00005000 1 0
invpcid 0 0 ${half}00005000
r ${half}00005000
endif
phase done
`;

/** Error codes: 0 a read, 2 a write of what is not present, 3 a write that is not allowed. SDM vol. 3A 4.7. */
const faults = (half: string, invpcid: boolean) => [
  ['refused', 0, `${half}00008ffd`],
  ['refused', 2, `${half}00008001`],
  ['refused', 3, `${half}00010018`],
  ['refused', 2, `${half}3fdffff9`],
  ['refused', 2, `${half}40000007`],
  ['invlpg', 0, `${half}00003010`],
  ...(invpcid ? [['invlpg', 0, `${half}00005010`]] : []),
];

const reaches = [
  { format: 'l4', more: '', half: '0xffff8000', la57: false },
  { format: 'l4', more: '', half: '0xfffffe7f', la57: false },
  { format: 'l5', more: ' +LA57', half: '0xff000000', la57: true },
  { format: 'l5', more: ' +LA57', half: '0xff11fe7f', la57: true },
  { format: 'l5', more: ' +LA57', half: '0x00fffe7f', la57: true },
] as const;

const vendors = ({ kind }: Mode) => (kind === 'shadow' ? (['svm', 'vmx'] as const) : ([null] as const));

describe.each(eras.map((era) => [era.id, era] as const))('%s', (_id, era) => {
  const cases = era.modes.flatMap((mode) =>
    vendors(mode).flatMap((vendor) =>
      reaches.filter(({ la57 }) => !la57 || era.features.has('la57')).map((reach) => ({ ...mode, vendor, ...reach })),
    ),
  );

  it.each(cases)('$kind $implementation $vendor: $format at $half', (one) => {
    const { kind, implementation, vendor, format, more, half, la57 } = one;
    const digits = half.replace(/^0x0+/, '0x');
    const result = replay(era, parseOps(program(format, more, half), 'kernel-half.ops'), {
      kind,
      implementation,
      vendor: vendor ?? 'svm',
      cpuid: la57 ? { la57, invpcid: true, maxPhyAddr: 52 } : { invpcid: true },
    });
    if (!isAvailable(result)) throw new Error(result.unavailable);
    expect(result.stopped).toBeNull();
    expect(result.guestFaults.map(({ phase, errorCode, address }) => [phase, errorCode, address])).toEqual(
      faults(digits, era.features.has('invpcid')),
    );
    expect(result.guestFaults.every(({ vector, count }) => vector === 14 && count === 1)).toBe(true);
  });
});

describe('addresses that are not canonical', () => {
  it.each(eras.map((era) => [era.id, era] as const))('are a #GP, and nothing to INVLPG: %s', (_id, era) => {
    const text = `pt A l4\nident A\nprot32\nenterlong A\nphase p\ninvlpg 0x800000000000\ninvlpg 0xffff7ffffffff000\n`;
    const result = replay(era, parseOps(text, 'x.ops'), { kind: 'shadow', implementation: null, vendor: 'svm' });
    if (!isAvailable(result)) throw new Error(result.unavailable);
    expect(result.guestFaults).toEqual([]);
    expect(result.phases.find(({ name }) => name === 'p')!.counts.exits.invlpg).toBe(2);
    expect(result.phases.find(({ name }) => name === 'p')!.counts.cost.tlb_flushes_address).toBe(0);
  });
});
