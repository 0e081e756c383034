// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import { get, type Layout } from '../role/layout.ts';
import { entryDifferences, firstDifference, type Pair } from './entry-states.ts';
import { type FieldValue, fields, type Group, type Replayed } from './fields.ts';
import type { ObservedEntry, ObservedFault } from './observer.ts';
import type { Recording } from './recording.ts';

/** One number, state or word that differs. `phase` is `total` for the whole run. */
export interface Difference {
  readonly field: string;
  readonly phase: string;
  readonly expected: string | number;
  readonly got: string | number;
}

export interface GroupResult {
  /** Fields that agree, of those compared: every field of every phase and of the total is one. */
  exact: number;
  compared: number;
  readonly differences: Difference[];
}

export type GroupResults = Readonly<Record<Group, GroupResult>>;

/** Everything of one replay that is compared. */
export interface ReplayedRun {
  readonly total: Replayed;
  readonly phases: ReadonlyMap<string, Replayed>;
  readonly entries: readonly ObservedEntry[];
  /** Role words of pages that were asked for. */
  readonly pageRoles: readonly number[];
  readonly faults: readonly ObservedFault[];
}

/** What is known of the recorded kernel. */
export interface CompareOptions {
  readonly era: Era;
  /** What its tracepoint keeps of an error code. */
  readonly faultCodeBits: 32 | 64;
  /** Fields that it has no tracepoint for. */
  readonly untraced: readonly string[];
}

const TOTAL = 'total';

/** Compares field by field: total, then the phases in the order of the recording, then those that only the replay has. */
export function compareRun(
  recording: Recording,
  run: ReplayedRun,
  { era, faultCodeBits, untraced }: CompareOptions,
): GroupResults {
  const results: GroupResults = { A: empty(), B: empty(), C: empty() };
  const names = [...new Set([...recording.phases.keys(), ...run.phases.keys()])];
  for (const { name, group, recorded, replayed } of fields.filter((field) => !untraced.includes(field.name))) {
    const one = (phase: string, block: Parameters<typeof recorded>[0], ours: Replayed | undefined): void =>
      judge(
        results[group],
        { field: name, phase },
        differing(recorded(block), ours ? replayed(ours, faultCodeBits) : 0),
      );
    one(TOTAL, recording.total, run.total);
    for (const phase of names) one(phase, recording.phases.get(phase) ?? {}, run.phases.get(phase));
  }
  const entries = entryDifferences(recording, run.entries);
  for (const phase of [TOTAL, ...names])
    judge(results.A, { field: 'entry_states', phase }, entries(phase === TOTAL ? null : phase));
  compareWords(results.A, recording, run, era);
  if (recording.faults) compareFaults(results.C, recording.faults, run.faults);
  return results;
}

const empty = (): GroupResult => ({ exact: 0, compared: 0, differences: [] });

function judge(result: GroupResult, { field, phase }: { field: string; phase: string }, pairs: readonly Pair[]): void {
  result.compared++;
  if (pairs.length === 0) result.exact++;
  for (const { key, expected, got } of pairs) {
    result.differences.push({ field: key === '' ? field : `${field}[${key}]`, phase, expected, got });
  }
}

function differing(expected: FieldValue, got: FieldValue): Pair[] {
  if (typeof expected === 'number' && typeof got === 'number') {
    return expected === got ? [] : [{ key: '', expected, got }];
  }
  const [theirs, ours] = [expected, got].map((value) => (typeof value === 'number' ? {} : value)) as [
    Readonly<Record<string, number>>,
    Readonly<Record<string, number>>,
  ];
  return [...new Set([...Object.keys(theirs), ...Object.keys(ours)])]
    .map((key) => ({ key, expected: theirs[key] ?? 0, got: ours[key] ?? 0 }))
    .filter((pair) => pair.expected !== pair.got);
}

// --- words ----------------------------------------------------------------------------------------------------------

/** Every role word that was ever in force or asked for, field by field under each side's own layout. */
function compareWords(result: GroupResult, { roleWords }: Recording, run: ReplayedRun, era: Era): void {
  const ours = new Map<string, Set<string>>();
  const note = (name: string, word: string): void => {
    const known = ours.get(name) ?? new Set();
    ours.set(name, known.add(word));
  };
  for (const { words } of run.entries) for (const [name, word] of Object.entries(words)) note(name, word);
  for (const role of run.pageRoles) note('root_role', `0x${role.toString(16)}`);
  for (const [name, words] of Object.entries(roleWords)) {
    // Nothing under a name that the replay knows from page lookups alone: that kernel has no such probe.
    if (name === 'root_role' && Object.keys(words).length === 0) continue;
    const theirs = Object.entries(words).map(([word, decoded]) => [word, fieldsText(decoded)] as const);
    const got = [...(ours.get(name) ?? [])].map((word) => [word, fieldsText(decode(era, name, word))] as const);
    const pairs = differing(tally(theirs), tally(got));
    judge(result, { field: `role_words.${name}`, phase: TOTAL }, pairs);
  }
}

const tally = (words: readonly (readonly [string, string])[]): Record<string, number> =>
  Object.fromEntries(words.map(([word, text]) => [`${word} ${text}`, 1]));

function decode(era: Era, name: string, word: string): Record<string, number> {
  const value = BigInt(word);
  const low = fieldsOf(era.layouts.page, Number(value & 0xffffffffn), '');
  if (name === 'root_role' || era.layouts.extended === null) return low;
  return { ...low, ...fieldsOf(era.layouts.extended, Number(value >> 32n), 'ext.') };
}

function fieldsOf(layout: Layout, word: number, prefix: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const field of layout.fields) {
    const value = get(word, field);
    if (!field.pad && value !== 0) values[prefix + field.name] = value;
  }
  return values;
}

const fieldsText = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ');

// --- faults the guest saw -------------------------------------------------------------------------------------------

function compareFaults(
  result: GroupResult,
  recorded: NonNullable<Recording['faults']>,
  run: readonly ObservedFault[],
): void {
  const text = (vector: number, error: number, cr2: string, phase: string): string =>
    // CR2 is that of the last page fault for other vectors: it says nothing.
    `${phase} vector=${vector} error=${error}${vector === 14 ? ` cr2=${cr2}` : ''}`;
  const theirs = recorded.map(({ vector, error, cr2, phase }) => text(vector, error, cr2, phase));
  const ours = run.map((fault) => text(fault.vector, fault.errorCode, fault.address, fault.phase));
  judge(result, { field: 'faults', phase: TOTAL }, firstDifference(theirs, ours));
}
