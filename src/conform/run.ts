// SPDX-License-Identifier: GPL-2.0-only

import type { Era, VectorRow, VectorValue } from '../era.ts';
import { UserError } from '../errors.ts';
import { readVectorText } from './file.ts';
import { parseVectorFile, type Section, type Session, type VectorFile } from './format.ts';
import type { FileResult, SectionResult } from './result.ts';
import { conformWalk } from './walk.ts';

/** Failures told in words per section. */
const TOLD = 10;

/** Finds the port a vector file is about, by commit, id or release. */
export type FindEra = (subject: string) => Era | undefined;

/** Runs one vector file against the port or the walker it names. UserError when the file is not understood. */
export function conformFile(path: string, findEra: FindEra): FileResult {
  const text = readVectorText(path);
  if (/\.jsonl(\.gz)?$/.test(path)) return conformWalk(path, text);
  const file = parseVectorFile(path, text);
  const era = findEra(file.subject);
  if (!era) {
    throw new UserError({
      place: path,
      found: `vectors of "${file.subject}"`,
      expected: 'vectors of a kernel that has a port',
      suggestion: 'mmu-eras eras',
    });
  }
  return conformParsed(file, era);
}

/** Runs a parsed file against a port, which need not be the one the file names (a test of "no functional change"). */
export function conformParsed(file: VectorFile, era: Era): FileResult {
  return { file: file.path, era: era.id, sections: file.sections.map((section) => runSection(section, file, era)) };
}

function runSection(section: Section, { path, context }: VectorFile, era: Era): SectionResult {
  const tally = new SectionTally(section.name);
  const { rows, sessions } = era.vectors;
  if (section.kind === 'rows') {
    const answer = rows[section.name];
    if (!answer) throw notAnswered(path, section.name, era);
    section.rows.forEach((row, i) => {
      const differences = differencesOf(row.expected, () => answer(row.input, context));
      tally.add(`row ${i + 1}`, { input: row.input, differences });
    });
    return tally.result();
  }
  const open = sessions[section.name];
  if (!open) throw notAnswered(path, section.name, era);
  for (const session of section.sessions) {
    const name = Object.entries(session.start)
      .filter(([, value]) => typeof value !== 'object')
      .map(([key, value]) => `${key} ${value}`)
      .join(', ');
    bestExplanation(session, (start) => open(start, context)).forEach((step, i) => {
      tally.add(`(${name}) step ${i + 1}`, step);
    });
  }
  return tally.result();
}

/** Most steps with an unsaid input that are tried in all combinations. */
const MOST_UNSAID = 12;

/**
 * A session conforms when some choice of its unsaid inputs explains every step. The choice with the fewest steps that
 * differ; without unsaid inputs there is one.
 */
function bestExplanation(session: Session, open: (start: VectorRow) => (step: VectorRow) => VectorRow): Outcome[] {
  const { column, steps: unsaid } = session.unsaid ?? { column: '', steps: [] };
  let best: Outcome[] = [];
  let fewest = Number.POSITIVE_INFINITY;
  for (let choice = 0; choice < 2 ** Math.min(unsaid.length, MOST_UNSAID) && fewest > 0; choice++) {
    const chosen = new Set(unsaid.filter((_, i) => ((choice >> i) & 1) !== 0));
    const step = open(session.start);
    const outcomes = session.steps.map(({ input, expected }, i) => {
      const given = chosen.has(i) ? { ...input, [column]: 1 } : input;
      return { input: given, differences: differencesOf(expected, () => step(given)) };
    });
    const failed = outcomes.filter(({ differences }) => differences.length > 0).length;
    if (failed >= fewest) continue;
    best = outcomes;
    fewest = failed;
  }
  return best;
}

/** One row or step after it ran: what it was given, and how the answer differs. */
interface Outcome {
  readonly input: VectorRow;
  readonly differences: readonly string[];
}

class SectionTally {
  readonly #name: string;
  #passed = 0;
  #failed = 0;
  readonly #failures: string[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(place: string, { input, differences }: Outcome): void {
    if (differences.length === 0) {
      this.#passed++;
      return;
    }
    this.#failed++;
    if (this.#failures.length < TOLD) this.#failures.push(`${place} ${brief(input)}: ${differences.join('; ')}`);
  }

  result(): SectionResult {
    if (this.#passed + this.#failed === 0) throw new Error(`section ${this.#name} has nothing to check`);
    return {
      name: this.#name,
      passed: this.#passed,
      failed: this.#failed,
      excluded: 0,
      exclusions: [],
      failures: this.#failures,
    };
  }
}

/** Columns where the answer is not what was expected, in words. An exception is a failure too: the port could not answer. */
function differencesOf(expected: VectorRow, answer: () => VectorRow): string[] {
  let got: VectorRow;
  try {
    got = answer();
  } catch (error) {
    return [`the port threw: ${(error as Error).message}`];
  }
  return Object.entries(expected)
    .filter(([column, value]) => !same(got[column], value))
    .map(([column, value]) => `${column} is ${show(got[column])}, expected ${show(value)}`);
}

/** Equality of JSON values; the order of keys does not matter. */
export function same(a: VectorValue | undefined, b: VectorValue | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((value, i) => same(value, b[i]));
  }
  const left = a as VectorRow;
  const right = b as VectorRow;
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => same(left[key], right[key]));
}

const show = (value: VectorValue | undefined): string => (value === undefined ? 'missing' : JSON.stringify(value));

/** The inputs of a row on one line, long values cut. */
function brief(input: VectorRow): string {
  const text = Object.entries(input)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' ');
  return text.length > 240 ? `${text.slice(0, 240)}…` : text;
}

function notAnswered(path: string, section: string, era: Era): UserError {
  const known = [...Object.keys(era.vectors.rows), ...Object.keys(era.vectors.sessions)];
  return new UserError({
    place: path,
    found: `section "${section}"`,
    expected: `a section that the port of ${era.id} answers: ${known.join(', ')}`,
  });
}
