// SPDX-License-Identifier: GPL-2.0-only
import {
  bitRecord,
  type DecodedField,
  type DecodedHalf,
  decodeHalf,
  fieldValue,
  type Half,
  layoutRecord,
} from './layouts.ts';
import { parseRoleWord } from './role-word.ts';
import type { EraRecord } from './schema.ts';

/** Something to say about a field of a role word. Names and values are those of the word's own layout. */
export interface FieldNote {
  readonly half: Half;
  readonly name: string;
  /** In bits. */
  readonly width: number;
  /**
   * `set`: it is not 0. `changed`: it was `before`. `renamed`: the other layout calls it `formerly`, where it was `before`.
   * `new` and `gone`: it is set, and only the layout of this word has it, or only the other one.
   */
  readonly what: 'set' | 'changed' | 'renamed' | 'new' | 'gone';
  /** As `fieldValue` writes it; `before` is that of the other word, 0 where there is none. */
  readonly value: string;
  readonly before: string;
  readonly formerly: string;
}

/** The halves of a role word, as its era's layout has them; one half for a word without the extended one. */
export type DecodedRole = readonly DecodedHalf[];

/**
 * Decodes a word in hex with the layout of an era. `extended`: the word has the extended half, even where it is 0.
 * Throws where the word has set bits that the layout does not name, or an extended half that it should not have.
 */
export function decodedRole(era: EraRecord, hex: string, extended: boolean): DecodedRole {
  const record = layoutRecord(era.layout);
  const { base, ext } = parseRoleWord(hex);
  if (ext !== null && !extended) throw new Error(`${hex} of ${era.id} has more than 32 bits`);
  const halves = [decodeHalf(record, 'base', base), ...(extended ? [decodeHalf(record, 'ext', ext ?? 0)] : [])];
  const unknown = halves.flatMap((half) => half.unknown.map((bit) => `${half.half} bit ${bit}`));
  if (unknown.length > 0) throw new Error(`${hex} of ${era.id}: ${unknown.join(', ')} is no field of ${record.id}`);
  return halves;
}

/** The fields that are not 0. */
export const setFields = (role: DecodedRole): FieldNote[] =>
  role.flatMap(({ half, fields }) =>
    fields.filter(({ value }) => value !== 0).map((field) => noteOf(half, field, 'set', null)),
  );

/** What a word has otherwise than another one, of this or of another layout. A half that only one has is left out. */
export const changedFields = (before: DecodedRole, now: DecodedRole): FieldNote[] =>
  now.flatMap(({ half, fields }) => {
    const other = before.find((one) => one.half === half);
    return other ? changesOfHalf(half, other.fields, fields) : [];
  });

function changesOfHalf(half: Half, before: readonly DecodedField[], now: readonly DecodedField[]): FieldNote[] {
  const names = new Map(before.map((field) => [successor(half, field.name, now), field]));
  const notes = now.flatMap((field): FieldNote[] => {
    const old = names.get(field.name);
    if (!old) return field.value === 0 ? [] : [noteOf(half, field, 'new', null)];
    if (old.value === field.value) return [];
    return [noteOf(half, field, old.name === field.name ? 'changed' : 'renamed', old)];
  });
  const gone = before.filter(({ name, value }) => value !== 0 && successor(half, name, now) === null);
  return [...notes, ...gone.map((field) => noteOf(half, field, 'gone', field))];
}

/** The name that a layout has for a field of an older or newer one: its own, or one it was renamed to; null for neither. */
function successor(half: Half, name: string, fields: readonly DecodedField[]): string | null {
  for (let at: string | undefined = name; at !== undefined; at = bitRecord(half, at)?.renamed_to?.name) {
    if (fields.some((field) => field.name === at)) return at;
  }
  return null;
}

function noteOf(half: Half, field: DecodedField, what: FieldNote['what'], old: DecodedField | null): FieldNote {
  const { name, width } = field;
  const before = old === null ? '0' : fieldValue(old);
  return { half, name, width, what, value: fieldValue(field), before, formerly: old?.name ?? name };
}
