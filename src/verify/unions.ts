// SPDX-License-Identifier: GPL-2.0-only
import type { Node } from 'web-tree-sitter';
import { childrenOf, firstLine, parseC } from './parser.ts';

/** One bit-field as C declares it. An unnamed one is padding. */
export interface BitField {
  readonly name: string | null;
  /** Lowest bit counted from the start of the union, as gcc on x86-64 places it. */
  readonly shift: number;
  readonly width: number;
  readonly line: number;
}

/** A union of the role: its bit-fields in declaration order, and its members of other unions. */
export interface RoleUnion {
  readonly name: string;
  readonly line: number;
  readonly bits: readonly BitField[];
  /** Members that are no bit-fields: name, and type as written. */
  readonly members: readonly { readonly name: string; readonly type: string }[];
  /** Why the bits cannot be placed, in words, when they cannot. */
  readonly doubt: string | null;
}

/** The unions with these names that a C file defines, in the order of the file. */
export async function unionsOf(text: string, names: readonly string[]): Promise<RoleUnion[]> {
  return await parseC(text, (root) =>
    root
      .descendantsOfType('union_specifier')
      .filter((node): node is Node => node !== null && node.childForFieldName('body') !== null)
      .filter((node) => names.includes(node.childForFieldName('name')?.text ?? ''))
      .map(readUnion),
  );
}

/** Bits of the types that the kernel declares bit-fields with; gcc lets no field cross a multiple of them. */
const unitBits: Readonly<Record<string, number>> = {
  unsigned: 32,
  'unsigned int': 32,
  u32: 32,
  __u32: 32,
  uint32_t: 32,
  'unsigned char': 8,
  u8: 8,
  __u8: 8,
  'unsigned short': 16,
  u16: 16,
  __u16: 16,
  'unsigned long': 64,
  u64: 64,
  __u64: 64,
};

interface Reading {
  readonly bits: BitField[];
  readonly members: { name: string; type: string }[];
  doubt: string | null;
}

function readUnion(node: Node): RoleUnion {
  const reading: Reading = { bits: [], members: [], doubt: null };
  readMembers(node, 0, reading);
  return { name: node.childForFieldName('name')!.text, line: firstLine(node), ...reading };
}

/**
 * The members of a union or struct that starts at bit `start`; returns the bit behind the last one. Unnamed structs and
 * unions inside are part of the one around them, and start at a multiple of their unit as gcc aligns them.
 */
function readMembers(aggregate: Node, start: number, reading: Reading): number {
  const overlay = aggregate.type === 'union_specifier';
  let next = start;
  let end = start;
  for (const member of childrenOf(aggregate.childForFieldName('body')!)) {
    if (member.type !== 'field_declaration') {
      reading.doubt ??= `line ${firstLine(member)} is no plain member: ${oneLine(member.text)}`;
      continue;
    }
    if (overlay) next = start;
    next = readMember(member, next, reading);
    end = Math.max(end, next);
  }
  return end;
}

function readMember(member: Node, at: number, reading: Reading): number {
  const type = member.childForFieldName('type')!;
  const clauses = childrenOf(member).filter(({ type: kind }) => kind === 'bitfield_clause');
  const declarators = member.childrenForFieldName('declarator').filter((node): node is Node => node !== null);
  if (clauses.length > 0) return readBitFields(member, at, reading);
  if (declarators.length === 0 && type.childForFieldName('body')) {
    // Everything in these unions is declared in units of 32 bits, so that is what the struct is aligned to.
    return readMembers(type, Math.ceil(at / 32) * 32, reading);
  }
  for (const declarator of declarators) reading.members.push({ name: declarator.text, type: oneLine(type.text) });
  return at;
}

/** One declaration of bit-fields: `unsigned level:4;`, `unsigned :6;`, or several with commas. */
function readBitFields(member: Node, start: number, reading: Reading): number {
  const type = oneLine(member.childForFieldName('type')!.text);
  const unit = unitBits[type];
  if (unit === undefined) reading.doubt ??= `line ${firstLine(member)}: the size of "${type}" is not known`;
  let at = start;
  let name: string | null = null;
  for (const child of childrenOf(member)) {
    // An unnamed field has an empty identifier that the parser makes up.
    if (child.type === 'field_identifier') name = child.text || null;
    if (child.type !== 'bitfield_clause') continue;
    const written = child.text.replace(/^:\s*/, '');
    const width = /^(0x[\da-f]+|\d+)$/i.test(written) ? Number(written) : Number.NaN;
    if (Number.isNaN(width)) {
      reading.doubt ??= `line ${firstLine(child)}: the width "${written}" is no number`;
    } else if (unit !== undefined) {
      // Width 0 ends the unit; a field that would cross its end starts the next one.
      if (width === 0 || Math.floor(at / unit) !== Math.floor((at + width - 1) / unit))
        at = Math.ceil(at / unit) * unit;
      if (width > 0) reading.bits.push({ name, shift: at, width, line: firstLine(child) });
      at += width;
    }
    name = null;
  }
  return at;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
