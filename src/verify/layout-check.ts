// SPDX-License-Identifier: GPL-2.0-only
import type { Layout } from '../role/layout.ts';
import type { RoleUnion } from './unions.ts';

interface Bits {
  readonly name: string | null;
  readonly shift: number;
  readonly width: number;
}

/** Until v4.2 the padding of the page role had a name; our tables have it as padding. */
const namedPadding = 'pad_for_nice_hex_output';

/**
 * The bit-fields of a union against our table of them: names, order, widths, and padding where C declares some. Bits behind
 * the last field that C declares are no padding of its own, so the table may name them as it likes. One line a difference.
 */
export function layoutDifferences({ bits, doubt }: RoleUnion, table: Layout): string[] {
  if (doubt !== null) throw new Error(`layoutDifferences: ${doubt}`);
  const theirBits = bits.map((field) => (field.name === namedPadding ? { ...field, name: null } : field));
  const ours: Bits[] = table.fields.map(({ name, shift, width, pad }) => ({ name: pad ? null : name, shift, width }));
  const end = bits.reduce((last, { shift, width }) => Math.max(last, shift + width), 0);
  while (ours.length > 0 && ours.at(-1)!.name === null && ours.at(-1)!.shift >= end) ours.pop();
  const differences: string[] = [];
  const count = Math.max(ours.length, theirBits.length);
  for (let at = 0; at < count; at++) {
    const theirs = theirBits[at];
    const mine = ours[at];
    if (theirs && mine && same(theirs, mine)) continue;
    differences.push(`field ${at + 1}: C has ${shown(theirs)}, we say ${shown(mine)}`);
  }
  return differences;
}

const same = (a: Bits, b: Bits): boolean => a.name === b.name && a.shift === b.shift && a.width === b.width;

const shown = (field: Bits | undefined): string =>
  field === undefined
    ? 'none'
    : `${field.name ?? 'padding'} in ${field.width === 1 ? `bit ${field.shift}` : `bits ${field.shift}-${field.shift + field.width - 1}`}`;

/** The union that holds both halves: `base` first, then `ext`, beside one 64-bit word. One line a difference. */
export function containerDifferences({ members }: RoleUnion): string[] {
  const expected = ['u64 as_u64', 'union kvm_mmu_page_role base', 'union kvm_mmu_extended_role ext'];
  const found = members.map(({ name, type }) => `${type} ${name}`);
  return found.join('; ') === expected.join('; ')
    ? []
    : [`C has ${found.join('; ') || 'no members'}, we say ${expected.join('; ')}`];
}
