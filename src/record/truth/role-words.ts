// SPDX-License-Identifier: GPL-2.0-only
import type { Abi, RoleField } from '../kernel/abi.ts';

const wordNames = ['root_role', 'cpu_role', 'mmu_role'] as const;
export type WordName = (typeof wordNames)[number];

/** Name of a role word → the words seen, each with its fields that are not zero. */
export type DecodedWords = Readonly<Record<WordName, Readonly<Record<string, Readonly<Record<string, number>>>>>>;

/** The role words of a run. root_role is 32 bits wide; the others have the extended role in their high half. */
export class RoleWords {
  readonly #abi: Abi;
  readonly #seen: Readonly<Record<WordName, Set<string>>> = {
    root_role: new Set(),
    cpu_role: new Set(),
    mmu_role: new Set(),
  };

  constructor(abi: Abi) {
    this.#abi = abi;
  }

  /** `word`: `0x` and hexadecimal digits. */
  note(name: WordName, word: string): void {
    this.#seen[name].add(word);
  }

  decoded(): DecodedWords {
    const decode = (name: WordName) =>
      Object.fromEntries([...this.#seen[name]].map((word) => [word, this.#fields(name, word)]));
    return { root_role: decode('root_role'), cpu_role: decode('cpu_role'), mmu_role: decode('mmu_role') };
  }

  #fields(name: WordName, word: string): Record<string, number> {
    const value = BigInt(word);
    const { base, extended } = this.#abi;
    return {
      ...bitsOf(base, Number(value & 0xffffffffn), ''),
      ...(name === 'root_role' ? {} : bitsOf(extended, Number(value >> 32n), 'ext.')),
    };
  }
}

function bitsOf(fields: readonly RoleField[], word: number, prefix: string): Record<string, number> {
  const values = fields.map(({ name, shift, width }) => [prefix + name, (word >>> shift) & (2 ** width - 1)] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== 0));
}
