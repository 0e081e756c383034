// SPDX-License-Identifier: GPL-2.0-only

/** One bit-field of a role union, in declaration order. `pad` marks bits that the union leaves unnamed. */
export interface Field {
  readonly name: string;
  /** Lowest bit; gcc on x86-64 puts the first declared field into the least significant bits. */
  readonly shift: number;
  readonly width: number;
  /** Mask of the field's value before shifting, e.g. 0xf for a width of 4. */
  readonly mask: number;
  readonly pad: boolean;
}

/** The bit-fields of one 32-bit role word; `Name` is the union of the field names. */
export interface Layout<Name extends string = string> {
  readonly bits: 32;
  readonly fields: readonly Field[];
  readonly byName: ReadonlyMap<string, Field>;
  /** The same fields for use in code: a misspelt name does not compile. */
  readonly at: Readonly<Record<Name, Field>>;
}

type Declaration = readonly [name: string, width: number] | { readonly pad: number };
type NameOf<D> = D extends readonly [infer Name extends string, number] ? Name : never;

/** Unnamed bits. */
export const pad = (width: number): { readonly pad: number } => ({ pad: width });

/**
 * A layout from its declaration, first field in the least significant bits.
 * Throws when names repeat, a width is not in 1..32, or the widths do not add up to `bits`.
 */
export function layout<const D extends readonly Declaration[]>(bits: 32, declarations: D): Layout<NameOf<D[number]>> {
  const fields: Field[] = [];
  const byName = new Map<string, Field>();
  let shift = 0;
  for (const declaration of declarations) {
    const isPad = 'pad' in declaration;
    const width = isPad ? declaration.pad : declaration[1];
    const name = isPad ? `pad${shift}` : declaration[0];
    if (!Number.isInteger(width) || width < 1 || width > 32) throw new Error(`layout: ${name} has width ${width}`);
    if (byName.has(name)) throw new Error(`layout: ${name} is declared twice`);
    const field = { name, shift, width, mask: width === 32 ? 0xffffffff : 2 ** width - 1, pad: isPad };
    fields.push(field);
    if (!isPad) byName.set(name, field);
    shift += width;
  }
  if (shift !== bits) throw new Error(`layout: fields take ${shift} bits of ${bits}`);
  // The record has exactly the declared names as keys, which fromEntries cannot express.
  const at = Object.fromEntries(byName) as Record<NameOf<D[number]>, Field>;
  return { bits, fields, byName, at };
}

/** The named field; throws when the layout has none of that name. */
export function fieldOf(role: Layout, name: string): Field {
  const field = role.byName.get(name);
  if (!field) throw new Error(`layout: no field ${name}`);
  return field;
}

/** Value of a field in a word. */
export const get = (word: number, field: Field): number => (word >>> field.shift) & field.mask;

/** The word with a field replaced; the value is cut to the field's width as a C bit-field assignment does. */
export const set = (word: number, field: Field, value: number): number =>
  ((word & ~(field.mask << field.shift)) | ((value & field.mask) << field.shift)) >>> 0;

/** A word from field values; absent fields are 0. Throws on an unknown field or a value that does not fit. */
export function encode(role: Layout, values: Readonly<Record<string, number>>): number {
  let word = 0;
  for (const [name, value] of Object.entries(values)) {
    const field = fieldOf(role, name);
    if (!Number.isInteger(value) || value < 0 || value > field.mask) {
      throw new Error(`layout: ${name} = ${value} does not fit in ${field.width} bits`);
    }
    word = set(word, field, value);
  }
  return word;
}

/** Every named field of a word, in declaration order, and the bits that no field names. */
export function decode(role: Layout, word: number): { fields: Record<string, number>; unknown: number } {
  const fields: Record<string, number> = {};
  let unknown = 0;
  for (const field of role.fields) {
    const value = get(word, field);
    if (field.pad) unknown = set(unknown, field, value);
    else fields[field.name] = value;
  }
  return { fields, unknown };
}

/** The non-zero fields of a word, with an optional name prefix: the form used in vectors and reports. */
export function nonZero(role: Layout, word: number, prefix = ''): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const [name, value] of Object.entries(decode(role, word).fields)) if (value !== 0) fields[prefix + name] = value;
  return fields;
}

/** A word as 8 hex digits, without 0x. */
export const hex32 = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
