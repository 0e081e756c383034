// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import { decode, get, hex32, type Layout } from '../role/layout.ts';
import { baseFacts, extendedFacts, type RoleFact } from '../role/meaning.ts';
import type { Purpose } from './compare.ts';
import type { EntryState, ReplayRecord, RoleValue } from './record.ts';

/** What a report asks of a port. */
export type ReportPort = Pick<Era, 'id' | 'layouts' | 'roleWords'>;

/** One role word, decoded with its era's own layout. */
export interface DecodedWord {
  /** Kernel name: `mmu_role`, `cpu_role` … */
  readonly word: string;
  /** What it describes; a kernel with one word uses it for both. */
  readonly purpose: Purpose | 'both';
  /** As KVM's debuggers print it: base half alone, or extended and base half in one number. */
  readonly hex: string;
  /** Fields that are not 0, in declaration order, extended ones after those of the base with `ext.` in front. */
  readonly fields: readonly { readonly name: string; readonly value: number }[];
  /** Set bits that the layout does not name, as a mask of each half; 0 when there are none. */
  readonly unknownBase: number;
  readonly unknownExtended: number;
}

/** A set of role words that was in force at guest entries of one era or several. */
export interface RolesInForce {
  readonly eras: readonly string[];
  readonly mmu: string;
  readonly words: readonly DecodedWord[];
  readonly guestLevels: number;
  readonly hostLevels: number;
  readonly entries: number;
  readonly phases: readonly string[];
}

/** A field of one era's word: under its newest name, with the era's own name and value. */
export interface MapCell {
  readonly field: string;
  /** As the word has it. */
  readonly value: number;
  /** The era's name says the opposite of the newest name. */
  readonly inverted: boolean;
}

/** The word in force at most guest entries of all workloads together, era by era: rows are fields, columns eras. */
export interface RoleMap {
  readonly mode: string;
  readonly label: string;
  readonly purpose: Purpose;
  readonly columns: readonly MapColumnHead[];
  /** `cells` stand in the order of `columns`; null where the layout has no such field. */
  readonly rows: readonly { readonly name: string; readonly cells: readonly (MapCell | null)[] }[];
}

/** The era's word, and at how many of its guest entries it was in force. */
export interface MapColumnHead {
  readonly era: string;
  readonly word: string;
  readonly hex: string;
  readonly entries: number;
  readonly allEntries: number;
}

/** The role words in force at guest entry: one line for each set of words, most entries first. */
export function rolesInForce(era: ReportPort, { entryStates }: ReplayRecord): Omit<RolesInForce, 'eras'>[] {
  const groups = new Map<string, Omit<RolesInForce, 'eras'> & { entries: number; phases: string[] }>();
  for (const { mmu, roles, guestLevels, hostLevels, entries, phase } of entryStates) {
    const words = roles.map((role, index) => decodeWord(era, index, role));
    const key = [mmu, guestLevels, hostLevels, ...words.map(({ hex }) => hex)].join(' ');
    const group = groups.get(key);
    if (group) {
      group.entries += entries;
      if (!group.phases.includes(phase)) group.phases.push(phase);
    } else groups.set(key, { mmu, words, guestLevels, hostLevels, entries, phases: [phase] });
  }
  return [...groups.values()].sort((a, b) => b.entries - a.entries);
}

/** A role word as KVM's debuggers print it. */
export function roleHex({ base, extended }: RoleValue): string {
  const low = (base >>> 0).toString(16);
  return extended === null || extended === 0 ? `0x${low}` : `0x${(extended >>> 0).toString(16)}${hex32(base)}`;
}

function decodeWord(era: ReportPort, index: number, role: RoleValue): DecodedWord {
  const { page, extended } = era.layouts;
  const base = decode(page, role.base);
  const ext = role.extended === null || extended === null ? null : decode(extended, role.extended);
  const nonZero = (fields: Readonly<Record<string, number>>, prefix: string) =>
    Object.entries(fields)
      .filter(([, value]) => value !== 0)
      .map(([name, value]) => ({ name: prefix + name, value }));
  return {
    word: era.roleWords[index]!.name,
    purpose: purposeOf(era, index),
    hex: roleHex(role),
    fields: [...nonZero(base.fields, ''), ...(ext ? nonZero(ext.fields, 'ext.') : [])],
    unknownBase: base.unknown,
    unknownExtended: ext ? ext.unknown : (role.extended ?? 0),
  };
}

function purposeOf({ roleWords }: ReportPort, index: number): DecodedWord['purpose'] {
  if (roleWords.length === 1) return 'both';
  return index === 0 ? 'guest walk' : 'tables';
}

/** What one era contributes to a map. */
interface MapColumn {
  readonly head: MapColumnHead;
  readonly facts: readonly { readonly name: string; readonly cell: MapCell }[];
}

/** The map of one MMU kind from all replays of each era; undefined when no era has a word of its own for the purpose. */
export function roleMap(
  purpose: Purpose,
  ran: readonly { readonly era: ReportPort; readonly records: readonly ReplayRecord[] }[],
): Pick<RoleMap, 'columns' | 'rows'> | undefined {
  const columns = ran.flatMap(({ era, records }) => mapColumn(purpose, era, records) ?? []);
  if (columns.length === 0) return undefined;
  const names = fieldOrder(columns);
  return {
    columns: columns.map(({ head }) => head),
    rows: names.map((name) => ({
      name,
      cells: columns.map(({ facts }) => facts.find((fact) => fact.name === name)?.cell ?? null),
    })),
  };
}

function mapColumn(purpose: Purpose, era: ReportPort, records: readonly ReplayRecord[]): MapColumn | undefined {
  if (purpose === 'guest walk' && era.roleWords.length === 1) return undefined;
  const index = purpose === 'guest walk' ? 0 : era.roleWords.length - 1;
  const states = records.flatMap(({ entryStates }) => entryStates);
  const most = mostOften(states, index);
  if (most === undefined) return undefined;
  const { role, entries } = most;
  const { page, extended } = era.layouts;
  const facts = [
    ...baseFacts(page, role.base).map((fact) => cellOf(page, role.base, fact, '')),
    ...(role.extended === null || extended === null
      ? []
      : extendedFacts(extended, role.extended).map((fact) => cellOf(extended, role.extended!, fact, 'ext.'))),
  ];
  const allEntries = states.reduce((sum, state) => sum + state.entries, 0);
  return { head: { era: era.id, word: era.roleWords[index]!.name, hex: roleHex(role), entries, allEntries }, facts };
}

function cellOf(layout: Layout, word: number, { name, field, value }: RoleFact, prefix: string) {
  const at = layout.byName.get(field.slice(prefix.length))!;
  const own = get(word, at);
  return { name, cell: { field, value: own, inverted: at.width === 1 && own !== value } };
}

function mostOften(states: readonly EntryState[], index: number) {
  const entriesOf = new Map<string, { role: RoleValue; entries: number }>();
  for (const { roles, entries } of states) {
    const role = roles[index]!;
    const key = roleHex(role);
    const known = entriesOf.get(key);
    if (known) known.entries += entries;
    else entriesOf.set(key, { role, entries });
  }
  return [...entriesOf.values()].sort((a, b) => b.entries - a.entries)[0];
}

/** Field names in the order of the newest layout; fields that only older ones have follow those they stood behind. */
function fieldOrder(columns: readonly MapColumn[]): string[] {
  const names: string[] = [];
  for (const { facts } of [...columns].reverse()) {
    let at = 0;
    for (const { name } of facts) {
      const known = names.indexOf(name);
      if (known >= 0) at = known + 1;
      else names.splice(at++, 0, name);
    }
  }
  return names;
}
