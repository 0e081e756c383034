// SPDX-License-Identifier: GPL-2.0-only
import { decode, type Field, fieldOf, get, type Layout } from './layout.ts';

/** How an older name says what a newer one says. */
interface Synonym {
  readonly as: string;
  readonly inverted: boolean;
}

/**
 * Fields of the base word that later commits renamed, and whether the meaning was turned round on the way:
 * metaphysical → direct (2009), nxe → efer_nx (167f8a5cae99), cr4_pae → gpte_is_8_bytes (47c42e6b4192) →
 * has_4_byte_gpte, inverted (bb3b394d35e8).
 */
const baseSynonyms: Readonly<Record<string, Synonym>> = {
  metaphysical: { as: 'direct', inverted: false },
  nxe: { as: 'efer_nx', inverted: false },
  cr4_pae: { as: 'has_4_byte_gpte', inverted: true },
  gpte_is_8_bytes: { as: 'has_4_byte_gpte', inverted: true },
};

/** A right of `access`: its bit until v7.1 and its bit since v7.2 (a8827c196146). */
const rights: readonly (readonly [before: number, since: number])[] = [
  [1, 8],
  [2, 2],
  [4, 4],
];
const READ = 1;

/**
 * `access` as the set of rights that its newest form has: read 1, write 2, user 4, execute 8. The three bits of older
 * layouts leave out that whatever is present can be read. (Their roles of EPT tables say "user" for read; no word tells that
 * it is one of those.)
 */
function rightsOf({ width }: Field, access: number, word: number): number {
  // A word of zeros is no role yet.
  if (width !== 3 || word === 0) return access;
  return rights.reduce((set, [before, since]) => (access & before ? set | since : set), READ);
}

/** One fact that a role word states: under its newest name, with the name the layout has for it. */
export interface RoleFact {
  readonly name: string;
  readonly field: string;
  readonly value: number;
}

/** The facts of a base word, under their newest names. */
export function baseFacts(layout: Layout, word: number): RoleFact[] {
  return Object.entries(decode(layout, word).fields).map(([field, value]) => {
    if (field === 'access') return { name: field, field, value: rightsOf(fieldOf(layout, field), value, word) };
    const synonym = baseSynonyms[field];
    if (!synonym) return { name: field, field, value };
    return { name: synonym.as, field, value: synonym.inverted ? value ^ 1 : value };
  });
}

/**
 * Facts that a base word states by two fields together, where older layouts have one field: smep_andnot_wp, until cr4_smep
 * moved to the base word (f603854a1b42).
 */
export function derivedFacts(layout: Layout, word: number): RoleFact[] {
  const smep = layout.byName.get('cr4_smep');
  const wp = layout.byName.get('cr0_wp');
  if (!smep || !wp) return [];
  return [{ name: 'smep_andnot_wp', field: 'cr4_smep and not cr0_wp', value: get(word, smep) & (get(word, wp) ^ 1) }];
}

/** Fields of the extended word that went to the base word later, without another meaning. */
const movedToBase: ReadonlySet<string> = new Set(['cr4_smep']);

/** The facts of an extended word. `ext.` sets them apart from base fields of the same name. */
export function extendedFacts(layout: Layout, word: number): RoleFact[] {
  return Object.entries(decode(layout, word).fields).map(([field, value]) => ({
    name: movedToBase.has(field) ? field : `ext.${field}`,
    field: `ext.${field}`,
    value,
  }));
}

/** A fact that both words state, with different values. */
export interface FactDifference {
  readonly name: string;
  readonly a: { readonly field: string; readonly value: number };
  readonly b: { readonly field: string; readonly value: number };
}

/** Facts that differ, and the fields that only one of the two layouts has. */
export interface RoleComparison {
  readonly differences: readonly FactDifference[];
  readonly onlyA: readonly string[];
  readonly onlyB: readonly string[];
}

/** Compares two role words of different layouts fact by fact. */
export function compareFacts(a: readonly RoleFact[], b: readonly RoleFact[]): RoleComparison {
  const byName = new Map(b.map((fact) => [fact.name, fact]));
  const differences: FactDifference[] = [];
  const onlyA: string[] = [];
  for (const fact of a) {
    const other = byName.get(fact.name);
    byName.delete(fact.name);
    if (!other) onlyA.push(fact.field);
    else if (other.value !== fact.value) differences.push({ name: fact.name, a: fact, b: other });
  }
  return { differences, onlyA, onlyB: [...byName.values()].map(({ field }) => field) };
}
