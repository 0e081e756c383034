// SPDX-License-Identifier: GPL-2.0-only
import { cr0Bits, cr4Bits, eferBits, features } from './bits.ts';
import { address, bitChange, type FieldType, flags, name, number, oneNumber, valueOrName, word } from './fields.ts';
import { distributions, formats, type OpName, pageSizes } from './ops.ts';

/** An argument with its place in the op. */
export interface Field {
  readonly field: string;
  readonly type: FieldType;
  /** The last positional arguments may be left out. */
  readonly optional?: true;
}

/** An argument that is recognised by its word, in any order after the positional ones: `noflush`, or `pcid=N`. */
export interface Option {
  readonly field: string;
  readonly word: string;
  /** Absent when the word stands alone and means true. */
  readonly type?: FieldType;
  readonly required?: true;
}

/** The arguments of one op. */
export interface OpSyntax {
  /** The op as an error message shows it. */
  readonly form: string;
  readonly fields: readonly Field[];
  /** Any number of words after the positional ones, kept in order as a list. */
  readonly rest?: Field;
  readonly options?: readonly Option[];
}

const f = (field: string, type: FieldType, optional?: true): Field => ({
  field,
  type,
  ...(optional ? { optional } : {}),
});
const o = (field: string, type?: FieldType, required?: true): Option => ({
  field,
  word: field,
  ...(type ? { type } : {}),
  ...(required ? { required } : {}),
});
const op = (form: string, ...fields: Field[]): OpSyntax => ({ form, fields });

const identifier = /^[A-Za-z_][\w.-]{0,46}$/;
const tree = name('tree name', identifier, 'a name: a letter, then letters, digits, _ . -');
const treeOrDash = name('tree name', /^(-|[A-Za-z_][\w.-]{0,46})$/, 'the name of a tree, or - for none');
const vmcb = name('VMCB name', identifier, 'a name: a letter, then letters, digits, _ . -');
const block = name('block name', /^\w{1,47}$/, 'a name of letters, digits and _');
const phase = name('phase name', /^[\x21-\x22\x24-\x7e]{1,47}$/, 'at most 47 visible ASCII characters without #');
const gva = address(64);
const gpa = address(52);
/** Counts live in a 32-bit register or a sign-extended immediate. */
const count = number(1, 0x7fffffff);
const u32 = number(0, 0xffffffff, true);

/** Every op that is not a closing word, in the order of docs/ops.md. */
export const syntax: Readonly<Record<OpName, OpSyntax>> = {
  pt: op('pt NAME leg32|pae|l4|l5', f('name', tree), f('format', word('format', formats))),
  map: op(
    'map PT GVA GPA COUNT 4k|2m|4m FLAGS',
    f('pt', tree),
    f('gva', gva),
    f('gpa', gpa),
    f('count', number(1, 0x40000)),
    f('size', word('page size', pageSizes)),
    f('flags', flags(false)),
  ),
  ident: {
    form: 'ident PT [g]',
    fields: [f('pt', tree)],
    options: [{ field: 'global', word: 'g' }],
  },
  vmcb: op(
    'vmcb NAME ADDRESS L2PT NPT|- ASID',
    f('name', vmcb),
    f('address', number(0, 0xff000, true)),
    f('pt', tree),
    f('npt', treeOrDash),
    f('asid', number(0, 0xffffffff)),
  ),
  smmphase: op('smmphase NAME', f('name', phase)),
  smmclear: op('smmclear PT', f('pt', tree)),
  vcpus: op('vcpus COUNT', f('count', number(1, 64))),
  vmcs: {
    form: 'vmcs NAME L2PT EPT|- [vpid=N]',
    fields: [f('name', vmcb), f('pt', tree), f('ept', treeOrDash)],
    options: [o('vpid', number(0, 0xffff))],
  },
  prot32: op('prot32'),
  far64: { form: 'far64 [ltr]', fields: [], options: [o('ltr')] },
  far32: op('far32'),
  enterlong: {
    form: 'enterlong PT [+BIT..]',
    fields: [f('pt', tree)],
    rest: f('bits', bitChange('cr4', Object.keys(cr4Bits), '+')),
  },
  cr0: { form: 'cr0 [+BIT|-BIT..]', fields: [], rest: f('bits', bitChange('cr0', Object.keys(cr0Bits), '+-')) },
  cr4: { form: 'cr4 [+BIT|-BIT..]', fields: [], rest: f('bits', bitChange('cr4', Object.keys(cr4Bits), '+-')) },
  cr4try: { form: 'cr4try [+BIT|-BIT..]', fields: [], rest: f('bits', bitChange('cr4', Object.keys(cr4Bits), '+-')) },
  efer: { form: 'efer [+BIT|-BIT..]', fields: [], rest: f('bits', bitChange('efer', Object.keys(eferBits), '+-')) },
  cr3: {
    form: 'cr3 PT [pcid=N] [noflush] [pwt] [pcd]',
    fields: [f('pt', tree)],
    options: [o('pcid', number(0, 4095)), o('noflush'), o('pwt'), o('pcd')],
  },
  wrpkru: op('wrpkru VALUE', f('value', u32)),
  stac: op('stac'),
  clac: op('clac'),
  svmon: op('svmon'),
  r: op('r GVA', f('gva', gva)),
  w: op('w GVA', f('gva', gva)),
  x: op('x GVA', f('gva', gva)),
  touchr: op(
    'touchr GVA COUNT [STRIDE]',
    f('gva', gva),
    f('count', count),
    f('stride', number(0, 0x7fffffff, true), true),
  ),
  touchw: op(
    'touchw GVA COUNT [STRIDE]',
    f('gva', gva),
    f('count', count),
    f('stride', number(0, 0x7fffffff, true), true),
  ),
  real_r: op('real_r OFFSET', f('offset', number(0, 0xffff, true))),
  bulk: {
    form: 'bulk r|w GVA PAGES COUNT uniform|zipf|seq seed=N',
    fields: [
      f('access', word('access', ['r', 'w'])),
      f('gva', gva),
      f('pages', number(1, 2 ** 24)),
      f('count', number(1, 2 ** 40)),
      f('distribution', word('distribution', distributions)),
    ],
    options: [o('seed', number(0, 0xffffffff), true)],
  },
  pte: op(
    'pte PT GVA LEVEL FLAGS GPA, or pte PT GVA LEVEL 0',
    f('pt', tree),
    f('gva', gva),
    f('level', number(1, 5)),
    f('flags', flags(true)),
    f('gpa', gpa, true),
  ),
  pdptes: op('pdptes PT', f('pt', tree)),
  invlpg: op('invlpg GVA', f('gva', gva)),
  invpcid: op(
    'invpcid TYPE [PCID [GVA]]',
    f('type', number(0, 0xffffffff)),
    f('pcid', number(0, 0x7fffffff), true),
    f('gva', gva, true),
  ),
  vmcbset: op(
    'vmcbset VMCB OFFSET 4|8 VALUE|PT',
    f('vmcb', vmcb),
    f('offset', number(0, 0xffc, true)),
    f('width', oneNumber([4, 8])),
    f('value', valueOrName),
  ),
  phase: op('phase NAME', f('name', phase)),
  smi: op('smi'),
  halt: op('halt'),
  vmrun: op('vmrun VMCB BLOCK', f('vmcb', vmcb), f('block', block)),
  vmentry: op('vmentry VMCS BLOCK', f('vmcs', vmcb), f('block', block)),
  memslot: op('memslot delete|move', f('action', word('action', ['delete', 'move']))),
  repeat: op('repeat COUNT', f('count', count)),
  if: op('if pcid|pku|la57|smep|smap|invpcid', f('feature', word('feature', Object.keys(features)))),
  user: op('user'),
  l2: op('l2 NAME', f('name', block)),
  on: op('on VCPU', f('vcpu', number(0, 63))),
};
