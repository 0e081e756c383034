// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import type { Btf, Member } from './btf.ts';

/** A bit-field of a role word. */
export interface RoleField {
  readonly name: string;
  readonly shift: number;
  readonly width: number;
}

/** Where one kernel keeps what the probes read, and how it lays out its roles. */
export interface Abi {
  /** `vcpu.root_mmu` → byte offset; only what this kernel has. */
  readonly offsets: Readonly<Record<string, number>>;
  readonly base: readonly RoleField[];
  /** Empty before there was an extended role. */
  readonly extended: readonly RoleField[];
  /** `union kvm_mmu_page_role` → its declaration in C. */
  readonly layouts: Readonly<Record<string, string>>;
}

/** Members of struct kvm_vcpu (below `arch`), struct kvm_mmu and struct kvm_pagewalk that probes and counts use. */
const wanted: readonly (readonly [prefix: string, struct: string, within: string, members: readonly string[]])[] = [
  ['vcpu', 'kvm_vcpu', 'arch.', ['mmu', 'root_mmu', 'guest_mmu', 'nested_mmu', 'gva_walk', 'ngpa_walk']],
  [
    'mmu',
    'kvm_mmu',
    '',
    ['root.hpa', 'root.pgd', 'root_hpa', 'root_pgd', 'root_role', 'cpu_role', 'mmu_role', 'w', 'root_level']
      .concat(['shadow_root_level', 'direct_map'])
      .concat([0, 1, 2].flatMap((i) => [`prev_roots[${i}].pgd`, `prev_roots[${i}].hpa`])),
  ],
  ['pagewalk', 'kvm_pagewalk', '', ['cpu_role']],
];

/** Until v5.8 the guest's root was called cr3. */
const formerNames: Readonly<Record<string, string>> = {
  root_pgd: 'root_cr3',
  'prev_roots[0].pgd': 'prev_roots[0].cr3',
  'prev_roots[1].pgd': 'prev_roots[1].cr3',
  'prev_roots[2].pgd': 'prev_roots[2].cr3',
};

const roleUnions = ['kvm_mmu_page_role', 'kvm_mmu_extended_role', 'kvm_cpu_role', 'kvm_mmu_role'] as const;

/** Reads offsets and layouts from the kernel's own type information. UserError when KVM is not in it. */
export function abiOf(btf: Btf): Abi {
  const offsets: Record<string, number> = {};
  for (const [prefix, struct, within, members] of wanted) {
    for (const member of members) {
      const former = formerNames[member];
      const offset =
        offsetOf(btf, struct, within + member) ?? (former === undefined ? undefined : offsetOf(btf, struct, former));
      if (offset !== undefined) offsets[`${prefix}.${member}`] = offset;
    }
  }
  const layouts: Record<string, string> = {};
  for (const name of roleUnions) {
    const id = btf.find('union', name);
    if (id !== undefined) layouts[`union ${name}`] = declaration(btf, id);
  }
  if (offsets['vcpu.mmu'] === undefined || layouts['union kvm_mmu_page_role'] === undefined) {
    throw new UserError({
      place: 'BTF of the kernel',
      found: 'no struct kvm_vcpu with an MMU, or no union kvm_mmu_page_role',
      expected: 'the types of KVM, in the kernel or its kvm module',
    });
  }
  return {
    offsets,
    base: bitFields(btf, 'kvm_mmu_page_role'),
    extended: bitFields(btf, 'kvm_mmu_extended_role'),
    layouts,
  };
}

/** Byte offset of `member.member[index].member` in a struct, undefined when there is none. */
export function offsetOf(btf: Btf, struct: string, path: string): number | undefined {
  let type = btf.find('struct', struct);
  let bits = 0;
  for (const step of path.split(/\.|(?=\[)/)) {
    if (type === undefined) return undefined;
    if (step.startsWith('[')) {
      const element = btf.element(type);
      if (!element) return undefined;
      bits += 8 * element.bytes * Number(step.slice(1, -1));
      type = element.type;
    } else {
      const member = memberOf(btf, type, step);
      if (!member) return undefined;
      bits += member.bitOffset;
      type = member.type;
    }
  }
  return bits / 8;
}

/** A member by name, those of anonymous structs and unions included; its offset counts from `type`. */
function memberOf(btf: Btf, type: number, name: string): Member | undefined {
  for (const member of btf.members(type) ?? []) {
    if (member.name === name) return member;
    if (member.name !== '') continue;
    const inner = memberOf(btf, member.type, name);
    if (inner) return { ...inner, bitOffset: member.bitOffset + inner.bitOffset };
  }
  return undefined;
}

/** Bit-fields of the anonymous struct in a role union. */
function bitFields(btf: Btf, union: string): RoleField[] {
  const id = btf.find('union', union);
  const struct = id === undefined ? undefined : btf.members(id)?.find(({ name }) => name === '');
  const members = struct === undefined ? [] : (btf.members(struct.type) ?? []);
  return members.map(({ name, bitOffset, bits, type }) => ({
    name,
    shift: bitOffset,
    width: bits || 8 * btf.bytes(type),
  }));
}

/** A union or struct in C, with its gaps as unnamed bit-fields. */
function declaration(btf: Btf, id: number, indent = ''): string {
  const lines: string[] = [];
  let next = 0;
  for (const { name, type, bitOffset, bits } of btf.members(id) ?? []) {
    if (bits && bitOffset > next) lines.push(`unsigned int: ${bitOffset - next};`);
    next = bitOffset + bits;
    const typeName = btf.nameOf(type) || declaration(btf, type, `${indent}\t`);
    lines.push(`${typeName}${name && ` ${name}`}${bits ? `: ${bits}` : ''};`);
  }
  const head = btf.nameOf(id) || (btf.isUnion(id) ? 'union' : 'struct');
  return `${head} {\n${lines.map((line) => `${indent}\t${line}\n`).join('')}${indent}}${indent === '' ? ';' : ''}`;
}
