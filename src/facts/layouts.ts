// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { type Field, get, type Layout, layout, pad } from '../role/layout.ts';
import { loadFacts } from './load.ts';
import type { BitRecord, Change, LayoutRecord } from './schema.ts';

/** The half of a role a field belongs to: `base` is union kvm_mmu_page_role, `ext` union kvm_mmu_extended_role. */
export type Half = 'base' | 'ext';

const unionOf = { base: 'kvm_mmu_page_role', ext: 'kvm_mmu_extended_role' } as const;

/** The layout record with this id; UserError when there is none. */
export function layoutRecord(id: string): LayoutRecord {
  const { layouts } = loadFacts();
  const record = layouts.find((candidate) => candidate.id === id);
  if (record) return record;
  throw new UserError({
    place: 'layout',
    found: `unknown layout "${id}"`,
    expected: `one of ${layouts.map((candidate) => candidate.id).join(', ')}`,
    suggestion: 'mmu-eras bits',
  });
}

/** One half of a layout as a table of fields; undefined when roles of that time have no such half. */
export function halfLayout(record: LayoutRecord, half: Half): Layout | undefined {
  const fields = half === 'base' ? record.base : record.ext;
  if (!fields) return undefined;
  const declarations: (readonly [string, number] | { readonly pad: number })[] = [];
  let next = 0;
  for (const { field, lsb, width } of fields) {
    if (lsb > next) declarations.push(pad(lsb - next));
    declarations.push(field === '(pad)' ? pad(width) : [field, width]);
    next = lsb + width;
  }
  if (next < 32) declarations.push(pad(32 - next));
  return layout(32, declarations);
}

/** What is known of a field of one half; undefined for a name that role-bits.json does not have. */
export function bitRecord(half: Half, name: string): BitRecord | undefined {
  return loadFacts().roleBits.bits.find((bit) => bit.name === name && bit.union === unionOf[half]);
}

/** What a commit did to a field: added, renamed, inverted … it. */
export interface FieldEvent {
  readonly what: string;
  readonly change: Change;
}

/** The life of a field in the order of its commits: added, its names, its widths, removed, brought back. */
export function fieldEvents(bit: BitRecord): FieldEvent[] {
  const events: FieldEvent[] = [];
  if (bit.renamed_from === null) events.push({ what: 'added', change: bit.introduced });
  else events.push({ what: `${renaming(bit)} from ${bit.renamed_from}`, change: bit.introduced });
  for (const { to, by } of bit.width_changes) events.push({ what: `widened to ${to} bits`, change: by });
  if (bit.renamed_to) {
    const successor = loadFacts().roleBits.bits.find(
      ({ name, union }) => name === bit.renamed_to!.name && union === bit.union,
    );
    events.push({
      what: `${successor ? renaming(successor) : 'renamed'} to ${bit.renamed_to.name}`,
      change: bit.renamed_to.by,
    });
  }
  if (bit.removed) events.push({ what: 'removed', change: bit.removed });
  if (bit.readded) events.push({ what: 'brought back', change: bit.readded });
  return events;
}

/** The subject of the renaming commit says when it also turned the bit's meaning round. */
const renaming = (bit: BitRecord): string =>
  /\binvert\b/.test(bit.introduced.subject ?? '') ? 'renamed and inverted' : 'renamed';

/** `v5.19`, or `v4.20?` where the release is believed without proof, or `?`. */
export function releaseOf(change: Change): string {
  if (change.release) return change.release;
  return change.release_believed ? `${change.release_believed}?` : '?';
}

/** One field of a decoded word. */
export interface DecodedField {
  readonly name: string;
  /** `8-10` or `7`. */
  readonly bits: string;
  /** In bits. */
  readonly width: number;
  readonly value: number;
  readonly meaning: string;
  readonly events: readonly FieldEvent[];
}

/** One half of a decoded word. `unknown` lists set bits that the layout does not name. */
export interface DecodedHalf {
  readonly half: Half;
  readonly word: number;
  readonly fields: readonly DecodedField[];
  readonly unknown: readonly number[];
}

/** Every field of one half of a word; without such a half in the layout every set bit is unknown. */
export function decodeHalf(record: LayoutRecord, half: Half, word: number): DecodedHalf {
  const table = halfLayout(record, half);
  const fields = table ? table.fields : [];
  const unknown: number[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const named = fields.some(({ shift, width, pad: isPad }) => !isPad && bit >= shift && bit < shift + width);
    if (!named && ((word >>> bit) & 1) === 1) unknown.push(bit);
  }
  return {
    half,
    word,
    fields: fields.filter((field) => !field.pad).map((field) => decodedField(half, field, word)),
    unknown,
  };
}

function decodedField(half: Half, field: Field, word: number): DecodedField {
  const bit = bitRecord(half, field.name);
  return {
    name: field.name,
    bits: bitRange(field.shift, field.width),
    width: field.width,
    value: get(word, field),
    meaning: bit?.meaning ?? '',
    events: bit ? fieldEvents(bit) : [],
  };
}

// Exec, write, user until 2026; then read takes bit 0 and exec a bit of its own.
const accessNames: Readonly<Record<number, readonly string[]>> = {
  3: ['exec', 'write', 'user'],
  4: ['read', 'write', 'user', 'exec'],
};

/** The value for people: `4`, and rights by name, `7 (exec write user)`. */
export function fieldValue({ name, width, value }: DecodedField): string {
  const names = name === 'access' && value !== 0 ? accessNames[width] : undefined;
  return names ? `${value} (${names.filter((_, bit) => ((value >>> bit) & 1) === 1).join(' ')})` : String(value);
}

/** `8-10`, or `7` for a single bit. */
export const bitRange = (shift: number, width: number): string =>
  width === 1 ? String(shift) : `${shift}-${shift + width - 1}`;
