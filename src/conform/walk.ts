// SPDX-License-Identifier: GPL-2.0-only
/**
 * Compares the simulated hardware walk with recorded ones. Nothing is left out: the records mark the A and D bits that a
 * faulting walk leaves behind, and bit 4 of a nested fetch fault, as open to the implementation; the walk claims the
 * policy of the recorded machine on both (src/sim/walk.ts, src/sim/nested-walk.ts), so they are compared like the rest.
 */
import { UserError } from '../errors.ts';
import type { FileResult, SectionResult } from './result.ts';
import { hexOf, parseWalkRecord, type WalkRecord } from './walk-record.ts';
import { marksOnFault, sameHalves, type WalkAnswer, WalkRunner } from './walk-run.ts';

const FAILURES_KEPT = 10;

interface Section {
  name: string;
  passed: number;
  failed: number;
  failures: string[];
}

/**
 * Runs every record of a vector file, given as its text or its lines (one JSON object each; empty lines are skipped).
 * `file` only names the place in messages. Throws a UserError on a record that it does not fully understand.
 */
export function conformWalk(file: string, lines: Iterable<string> | string): FileResult {
  const runner = new WalkRunner();
  const sections = new Map<string, Section>();
  let number = 0;
  for (const line of typeof lines === 'string' ? lines.split('\n') : lines) {
    number++;
    if (line.trim() === '') continue;
    const place = `${file}:${number}`;
    const record = parseWalkRecord(line, place);
    const expected = expectedResult(record, place);
    const differences = compare(record, expected, runner.run(record));
    const section = sections.get(record.section) ?? { name: record.section, passed: 0, failed: 0, failures: [] };
    sections.set(record.section, section);
    if (differences.length === 0) section.passed++;
    else if (++section.failed <= FAILURES_KEPT) section.failures.push(`${inWords(record)}: ${differences.join('; ')}`);
  }
  return { file, era: 'hardware', sections: [...sections.values()].map(finished) };
}

const finished = (section: Section): SectionResult => ({ ...section, excluded: 0, exclusions: [] });

function expectedResult({ json, entries }: WalkRecord, place: string): Readonly<Record<string, unknown>> {
  const result = json.result;
  if (typeof result !== 'object' || result === null || entries.some(({ after }) => after === undefined)) {
    throw new UserError({
      place,
      found: 'a record without its answer',
      expected: '"result", and "after" in each entry',
    });
  }
  // A JSON object is such a record.
  return result as Record<string, unknown>;
}

/** Every difference in words; empty when the record is met in full. */
function compare(record: WalkRecord, expected: Readonly<Record<string, unknown>>, answer: WalkAnswer): string[] {
  const got: Readonly<Record<string, unknown>> = answer.outcome;
  const names = new Set([...Object.keys(expected), ...Object.keys(got)]);
  const differences = [...names].filter((name) => got[name] !== expected[name]);
  const words = differences.map((name) => `${name} ${show(got[name])}, expected ${show(expected[name])}`);
  record.entries.forEach((entry, i) => {
    const after = answer.after[i]!;
    if (sameHalves(after, entry.after!)) return;
    const where = `${entry.dim ?? ''}${entry.level} at 0x${entry.addr.toString(16)}`;
    words.push(`entry ${where} ${hexOf(after)}, expected ${hexOf(entry.after!)} (was ${hexOf(entry.before)})`);
  });
  const marked = marksOnFault(record, answer);
  if (marked !== (record.json.ad_on_fault === 1)) words.push(`ad_on_fault ${marked ? 1 : 'absent'}`);
  return words;
}

const show = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));

/** The access with the controls that matter: `4level-00002 4level user write of 0x… wp smep`. */
function inWords({ id, tables, controls, user, access, gva, nested }: WalkRecord): string {
  const verb = { r: 'read', w: 'write', x: 'fetch' }[access];
  const on = Object.entries(controls).flatMap(([name, value]) => (value ? [name.replace(/^.*_/, '')] : []));
  const form = nested ? `${tables} under npt` : tables;
  return [id, form, user ? 'user' : 'supervisor', verb, 'of', hexOf(gva), ...on].join(' ');
}
