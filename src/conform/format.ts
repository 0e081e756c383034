// SPDX-License-Identifier: GPL-2.0-only
import { basename } from 'node:path';
import type { VectorRow, VectorValue } from '../era.ts';
import { UserError } from '../errors.ts';

/** One independent computation: inputs, and what the real code answered. */
export interface Row {
  readonly input: VectorRow;
  readonly expected: VectorRow;
}

/** A session: what it starts from, then steps. */
export interface Session {
  readonly start: VectorRow;
  readonly steps: readonly Row[];
  /** What the real code may have been given without the file saying so. */
  readonly unsaid?: Unsaid;
}

/** An input column that is 1 in some of these steps (by index), nobody knows which. */
export interface Unsaid {
  readonly column: string;
  readonly steps: readonly number[];
}

export type Section =
  | { readonly name: string; readonly kind: 'rows'; readonly rows: readonly Row[] }
  | { readonly name: string; readonly kind: 'sessions'; readonly sessions: readonly Session[] };

/** A vector file as named columns. */
export interface VectorFile {
  readonly path: string;
  /** Names the port: a commit, an era id or a release, as the file itself or its name has it. */
  readonly subject: string;
  /** The file's header, which handlers get as their second argument. */
  readonly context: VectorRow;
  readonly sections: readonly Section[];
}

type Json = { readonly [key: string]: VectorValue };

/** Section name of each file format whose header names one (`header.format`). */
const sectionOfFormat: Readonly<Record<string, string>> = {
  'kvm-mmu-role-vectors': 'roles',
  'kvm-mmu-event-vectors': 'events',
  'kvm-mmu-child-role-vectors': 'child-roles',
  'kvm-mmu-permission-fault-vectors': 'permission-fault',
  'kvm-mmu-rootcache-vectors': 'rootcache',
  'kvm-mmu-event-sequences': 'sequences',
  'kvm-mmu-reinit-vectors': 'reinit',
};

/** Columns of a step that are given; all others were answered by the real code. */
const stepInputs = new Set(['op', 'args', 'role', 'pgd', 'guest_levels', 'mask', 'hpa', 'skip_flush', 'skip_sync']);

/** Parses a JSON vector file. UserError when it is damaged or of a format that is not known. */
export function parseVectorFile(path: string, text: string): VectorFile {
  const json = parseJson(path, text);
  if (isObject(json.header) && Array.isArray(json.rows)) return headerFile(path, json.header, json.rows);
  if (typeof json.era === 'string' && isObject(json.sections)) return sectionFile(path, json, json.sections);
  if (typeof json.era === 'string' && Array.isArray(json.traces)) return traceFile(path, json, json.traces);
  throw malformed(path, `no "header" and "rows", and no "era" with "sections" or "traces"`);
}

function headerFile(path: string, header: Json, rows: readonly VectorValue[]): VectorFile {
  const format = String(header.format);
  const name = sectionOfFormat[format];
  if (!name) {
    throw new UserError({
      place: path,
      found: `vector format "${format}"`,
      expected: `one of ${Object.keys(sectionOfFormat).join(', ')}`,
    });
  }
  const count = header.count ?? header.sequences;
  if (count !== rows.length) throw malformed(path, `${rows.length} rows where the header counts ${String(count)}`);
  const section: Section = header.step_columns
    ? { name, kind: 'sessions', sessions: rows.map((row, i) => session(`${path} row ${i + 1}`, header, row)) }
    : { name, kind: 'rows', rows: columnRows(path, header.input_columns, header.output_columns, rows) };
  return {
    path,
    subject: subjectOf(path, header),
    context: header,
    sections: [withInlineTables(section, header)],
  };
}

function sectionFile(path: string, json: Json, sections: Json): VectorFile {
  const { sections: _, ...context } = json;
  return {
    path,
    subject: String(json.era),
    context,
    sections: Object.entries(sections).map(([name, section]) => {
      if (!isObject(section) || !Array.isArray(section.rows)) throw malformed(path, `section ${name} without rows`);
      return {
        name,
        kind: 'rows',
        rows: columnRows(`${path} ${name}`, section.inputs!, section.outputs!, section.rows),
      };
    }),
  };
}

function traceFile(path: string, json: Json, traces: readonly VectorValue[]): VectorFile {
  const { traces: _, ...context } = json;
  const sessions = traces.map((trace, i): Session => {
    if (!isObject(trace) || !Array.isArray(trace.steps)) throw malformed(path, `trace ${i + 1} without steps`);
    const { steps, ...start } = trace;
    return {
      start,
      steps: steps.map((step) => {
        const { op, ...expected } = step as Json;
        return { input: { op: op! }, expected };
      }),
      unsaid: vmcsLoads(steps as readonly Json[]),
    };
  });
  return { path, subject: String(json.era), context, sections: [{ name: 'traces', kind: 'sessions', sessions }] };
}

/**
 * Steps before which L1 may have loaded another VMCS (VMPTRLD), which frees the roots that shadow its EPT tables: entries
 * with another EPTP than the entry before. The operations do not say whether it did.
 */
function vmcsLoads(steps: readonly Json[]): Unsaid {
  const enters = steps.flatMap(({ op }, number) =>
    Array.isArray(op) && op[0] === 'vmx_enter' ? [{ number, eptp: op[2] }] : [],
  );
  const changed = enters.filter(({ eptp }, i) => i > 0 && eptp !== enters[i - 1]!.eptp);
  return { column: 'vmptrld', steps: changed.map(({ number }) => number) };
}

function session(place: string, header: Json, row: VectorValue): Session {
  const columns = header.step_columns;
  if (!isObject(row) || !Array.isArray(row.steps) || !Array.isArray(columns)) throw malformed(place, 'no steps');
  const { steps, ...start } = row;
  return {
    start,
    steps: steps.map((step) => {
      const named = Object.entries(zip(place, columns, step));
      return {
        input: Object.fromEntries(named.filter(([column]) => stepInputs.has(column))),
        expected: Object.fromEntries(named.filter(([column]) => !stepInputs.has(column))),
      };
    }),
  };
}

function columnRows(
  place: string,
  inputs: VectorValue | undefined,
  outputs: VectorValue | undefined,
  rows: readonly VectorValue[],
): Row[] {
  if (!Array.isArray(inputs) || !Array.isArray(outputs)) throw malformed(place, 'no column names');
  return rows.map((row, i) => {
    if (!Array.isArray(row) || row.length !== inputs.length + outputs.length) {
      throw malformed(`${place} row ${i + 1}`, `not ${inputs.length + outputs.length} columns`);
    }
    return {
      input: zip(place, inputs, row.slice(0, inputs.length)),
      expected: zip(place, distinct(outputs), row.slice(inputs.length)),
    };
  });
}

/** Output columns with the second use of a name marked `#2`: one file has a decoded role field and a level of one name. */
function distinct(columns: readonly VectorValue[]): string[] {
  const seen = new Map<string, number>();
  return columns.map((column) => {
    const name = String(column);
    const uses = (seen.get(name) ?? 0) + 1;
    seen.set(name, uses);
    return uses === 1 ? name : `${name}#${uses}`;
  });
}

function zip(place: string, columns: readonly VectorValue[], values: VectorValue): Json {
  if (!Array.isArray(values) || values.length !== columns.length)
    throw malformed(place, `not ${columns.length} columns`);
  return Object.fromEntries(columns.map((column, i) => [String(column), values[i]!]));
}

/** Role files name hosts and reserved-bit sets by key; rows get them in full, so that a row says all of its input. */
function withInlineTables(section: Section, header: Json): Section {
  const { hosts, rsvd_sets: sets } = header;
  if (section.kind !== 'rows' || !isObject(hosts)) return section;
  const set = (index: VectorValue | undefined): VectorValue =>
    typeof index === 'number' && Array.isArray(sets) ? sets[index]! : null;
  const withSets = (expected: VectorRow): VectorRow =>
    Array.isArray(sets)
      ? { ...expected, guest_rsvd: set(expected.guest_rsvd), shadow_zero: set(expected.shadow_zero) }
      : expected;
  return {
    ...section,
    rows: section.rows.map(({ input, expected }) => ({
      input: { ...input, host: hosts[String(input.host)]! },
      expected: withSets(expected),
    })),
  };
}

/** Headers whose `commit` is a description: what it starts from, then what was added. */
const describedSubjects: readonly (readonly [RegExp, string])[] = [
  [/18 patches of 20220217210340/, 'no-unload-v2'],
  [/^5\.17\.0-rc5 tree/, 'v5.17'],
];

/**
 * Which kernel a file with a header is about: its `commit` (a hash, an era id, or a description), the release of the stable
 * kernel in `kernel` (6.1.192 is v6.1), or, when the header is silent, the first part of the file name.
 */
function subjectOf(path: string, { commit, kernel }: Json): string {
  if (typeof commit === 'string') {
    const described = describedSubjects.find(([pattern]) => pattern.test(commit));
    return described ? described[1] : commit;
  }
  const release = typeof kernel === 'string' ? /^v?(\d+\.\d+)/.exec(kernel) : null;
  if (release) return `v${release[1]}`;
  const name = /^(.+?)-(roles|events|child-roles|permission-fault|rootcache|sequences|reinit)\b/.exec(basename(path));
  if (!name) throw malformed(path, 'neither header nor file name says which kernel it is about');
  return name[1]!;
}

function parseJson(path: string, text: string): Json {
  let json: VectorValue;
  try {
    json = JSON.parse(text) as VectorValue;
  } catch (error) {
    throw malformed(path, `JSON that does not parse (${(error as Error).message})`);
  }
  if (!isObject(json)) throw malformed(path, 'JSON that is no object');
  return json;
}

function isObject(value: VectorValue | undefined): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(place: string, found: string): UserError {
  return new UserError({ place, found, expected: 'a vector file as docs/vectors.md describes it' });
}
