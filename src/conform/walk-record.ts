// SPDX-License-Identifier: GPL-2.0-only
import { nearest, UserError } from '../errors.ts';

/** A 64-bit value as two unsigned halves. */
export interface Halves {
  readonly lo: number;
  readonly hi: number;
}

/** One page-table entry of a record. */
export interface WalkEntry {
  /** `g` a table of the guest, `n` a nested one; absent in one-dimensional records. */
  readonly dim: 'g' | 'n' | undefined;
  readonly level: number;
  /** Host-physical address of the entry. */
  readonly addr: number;
  readonly before: Halves;
  /** Undefined when the record does not say. */
  readonly after: Halves | undefined;
}

const tableModes = ['32bit', 'pse', 'pae', '4level', '5level'] as const;
type TableMode = (typeof tableModes)[number];
const guestModes = ['32bit', 'pae', '4level'] as const;
const controls = ['cr0_wp', 'cr4_pse', 'cr4_smep', 'cr4_smap', 'eflags_ac', 'efer_nxe', 'cr4_pke'] as const;

/** One access on a CPU with an empty TLB: the registers, the memory that matters, and perhaps what came of it. */
export interface WalkRecord {
  readonly id: string;
  /** Mode of the tables that translate `gva`. The 32-bit guests of two-dimensional records have CR4.PSE set. */
  readonly tables: TableMode;
  /** How the record was drawn, or the guest's mode: what results are grouped by. */
  readonly section: string;
  readonly controls: Readonly<Record<(typeof controls)[number], 0 | 1>>;
  readonly pkru: number;
  readonly maxPhyAddr: number;
  readonly cr3: number;
  /** Two-dimensional records: the nested root, and the host's EFER.NXE. */
  readonly nested: { readonly root: number; readonly nxe: boolean } | null;
  readonly gva: Halves;
  readonly access: 'r' | 'w' | 'x';
  readonly user: boolean;
  readonly entries: readonly WalkEntry[];
  /** The record as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

const commonFields = ['id', 'mode', ...controls, 'pkru', 'maxphyaddr', 'gva', 'access', 'user', 'entries'];
const nestedFields = ['guest_mode', 'host_efer_nxe', 'gcr3', 'ncr3'];
const answerFields = ['result', 'dev', 'raw', 'ad_on_fault', 'amd_differs'];

/** Reads one line. `place` (file and line) heads the UserError that any oddity raises. */
export function parseWalkRecord(line: string, place: string): WalkRecord {
  const json = new Fields(parseJson(line, place), place);
  const mode = json.oneOf('mode', [...tableModes, 'npt']);
  const twoDimensional = mode === 'npt';
  const own = twoDimensional ? nestedFields : ['cat', 'cr3'];
  json.allow([...commonFields, ...own, ...answerFields]);
  const tables = twoDimensional ? guestTables(json.oneOf('guest_mode', guestModes)) : mode;
  const flags = Object.fromEntries(controls.map((name) => [name, json.bit(name)])) as WalkRecord['controls'];
  if (!twoDimensional && tables === '32bit' && flags.cr4_pse) json.fail('cr4_pse 1 in mode 32bit', 'mode pse');
  if (tables === 'pse' && !twoDimensional && !flags.cr4_pse) json.fail('cr4_pse 0 in mode pse', 'mode 32bit');
  const gva = json.halves('gva');
  const wide = tables === '4level' || tables === '5level';
  if (!wide && gva.hi !== 0) json.fail(`gva ${hexOf(gva)}`, `32 bits in mode ${tables}`);
  const entries = json
    .list('entries')
    .map((entry, i) => parseEntry(entry, `${place}: entry ${i}`, twoDimensional, tables));
  refuseContradictions(entries, json);
  return {
    id: json.text('id'),
    tables,
    section: twoDimensional ? `${json.text('guest_mode')} guest` : json.textOr('cat', 'uncategorised'),
    controls: flags,
    pkru: json.address('pkru', 2 ** 32),
    maxPhyAddr: json.integer('maxphyaddr', 32, 52),
    cr3: json.address(twoDimensional ? 'gcr3' : 'cr3', 2 ** 52),
    nested: twoDimensional ? { root: json.address('ncr3', 2 ** 52), nxe: json.bit('host_efer_nxe') === 1 } : null,
    gva,
    access: json.oneOf('access', ['r', 'w', 'x']),
    user: json.bit('user') === 1,
    entries,
    json: json.values,
  };
}

/** Recursive tables list one entry of memory several times; its value before must be one. */
function refuseContradictions(entries: readonly WalkEntry[], json: Fields): void {
  const first = new Map<number, Halves>();
  for (const { addr, before } of entries) {
    const known = first.get(addr) ?? before;
    first.set(addr, known);
    if (known.lo === before.lo && known.hi === before.hi) continue;
    json.fail(
      `${hexOf(known)} and ${hexOf(before)} at 0x${addr.toString(16)}`,
      'one value of each entry before the walk',
    );
  }
}

function guestTables(mode: (typeof guestModes)[number]): TableMode {
  return mode === '32bit' ? 'pse' : mode;
}

/** Bytes of an entry of a record. */
export function entryBytes(tables: TableMode, dim: 'g' | 'n' | undefined): 4 | 8 {
  return dim !== 'n' && (tables === '32bit' || tables === 'pse') ? 4 : 8;
}

function parseEntry(value: unknown, place: string, twoDimensional: boolean, tables: TableMode): WalkEntry {
  const json = new Fields(value, place);
  json.allow([...(twoDimensional ? ['dim'] : []), 'level', 'addr', 'before', 'after']);
  const dim = twoDimensional ? json.oneOf('dim', ['g', 'n']) : undefined;
  const bytes = entryBytes(tables, dim);
  const addr = json.address('addr', 2 ** 52);
  if (addr % bytes !== 0) json.fail(`addr ${json.values.addr}`, `a multiple of ${bytes}`);
  const before = json.halves('before');
  const after = json.values.after === undefined ? undefined : json.halves('after');
  for (const half of [before, after]) if (bytes === 4 && half && half.hi !== 0) json.fail('a wide entry', '32 bits');
  return { dim, level: json.integer('level', 1, 5), addr, before, after };
}

function parseJson(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new UserError({ place, found: 'text that is not JSON', expected: 'one JSON object on each line' });
  }
}

/** Typed access to the fields of a JSON object; every refusal is a UserError at `place`. */
class Fields {
  readonly values: Readonly<Record<string, unknown>>;
  readonly #place: string;

  constructor(value: unknown, place: string) {
    this.#place = place;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new UserError({ place, found: `${JSON.stringify(value)}`, expected: 'a JSON object' });
    }
    // A JSON object is such a record.
    this.values = value as Record<string, unknown>;
  }

  fail(found: string, expected: string, suggestion?: string): never {
    throw new UserError({ place: this.#place, found, expected, ...(suggestion ? { suggestion } : {}) });
  }

  allow(names: readonly string[]): void {
    for (const name of Object.keys(this.values)) {
      if (names.includes(name)) continue;
      this.fail(`unknown field "${name}"`, `fields ${names.join(' ')}`, nearest(name, names));
    }
  }

  text(name: string): string {
    const value = this.values[name];
    return typeof value === 'string' ? value : this.#refuse(name, 'a string');
  }

  textOr(name: string, otherwise: string): string {
    return this.values[name] === undefined ? otherwise : this.text(name);
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.values[name];
    return choices.find((choice) => choice === value) ?? this.#refuse(name, `one of ${choices.join(' ')}`);
  }

  bit(name: string): 0 | 1 {
    const value = this.values[name];
    return value === 0 || value === 1 ? value : this.#refuse(name, '0 or 1');
  }

  integer(name: string, least: number, most: number): number {
    const value = this.values[name];
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    return this.#refuse(name, `a whole number from ${least} to ${most}`);
  }

  list(name: string): readonly unknown[] {
    const value = this.values[name];
    return Array.isArray(value) ? value : this.#refuse(name, 'a list');
  }

  halves(name: string): Halves {
    const value = this.values[name];
    if (typeof value !== 'string' || !/^0x[0-9a-f]{1,16}$/i.test(value))
      return this.#refuse(name, '0x and up to 16 hex digits');
    const digits = value.slice(2).padStart(16, '0');
    return { lo: Number.parseInt(digits.slice(8), 16), hi: Number.parseInt(digits.slice(0, 8), 16) };
  }

  /** A hex number below `limit`, at most 2 ** 52, as a double. */
  address(name: string, limit: number): number {
    const { lo, hi } = this.halves(name);
    const value = hi * 2 ** 32 + lo;
    return value < limit ? value : this.#refuse(name, `less than 0x${limit.toString(16)}`);
  }

  #refuse(name: string, expected: string): never {
    const value = this.values[name];
    return this.fail(value === undefined ? `no "${name}"` : `${name} ${JSON.stringify(value)}`, expected);
  }
}

/** 0x and the value in hex without leading zeros: how records write 64-bit values. */
export const hexOf = ({ lo, hi }: Halves): string =>
  hi === 0 ? `0x${lo.toString(16)}` : `0x${hi.toString(16)}${lo.toString(16).padStart(8, '0')}`;
