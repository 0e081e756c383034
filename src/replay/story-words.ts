// SPDX-License-Identifier: GPL-2.0-only
import type { ReplayRecord, RoleValue } from './record.ts';
import { roleHex } from './report-roles.ts';

/**
 * The role words that replays of one workload had in force at the same time: a column a replay, each combination once, in
 * the order of the replay. Steps of the guest have the same numbers in all of them, so they tell what was at the same time.
 * Where a word comes and goes within a step, the words must follow each other alike in all; throws where they do not.
 */
export function wordsAtOnce(records: readonly ReplayRecord[], figure: string): string[][] {
  const entered = records.map((record) => enteredWords(record, figure));
  const rows = byStep(records, figure).filter((row) => row.every((word, at) => entered[at]!.includes(word)));
  const isWhole = entered.every((words, at) => words.every((word) => rows.some((row) => row[at] === word)));
  if (isWhole) return distinct(rows);
  const [first] = entered;
  if (entered.some(({ length }) => length !== first!.length)) {
    const what = records.map(({ era, mode, workload }) => `${workload} ${mode} ${era}`).join(', ');
    throw new Error(`${figure} of ${what}: which words were in force at the same time cannot be told`);
  }
  return distinct(first!.map((_, at) => entered.map((words) => words[at]!)));
}

/** Whose word a figure is; the guest's paging has the first word of a context, the tables have the last one. */
const wordOf = (roles: readonly RoleValue[], figure: string): string =>
  roleHex(roles[figure === 'guest walk' ? 0 : roles.length - 1]!);

/** The words at guest entries with the MMU that the figure is about, run after run without a change. */
function enteredWords({ entryStates }: ReplayRecord, figure: string): string[] {
  const mmu = figure === 'nested tables' ? 'guest_mmu' : entryStates[0]!.mmu;
  const words = entryStates.filter((state) => state.mmu === mmu).map(({ roles }) => wordOf(roles, figure));
  return words.filter((word, at) => word !== words[at - 1]);
}

/** After each step at which one of the replays did something, the word of each. */
function byStep(records: readonly ReplayRecord[], figure: string): string[][] {
  const changes = records.map(({ steps }) => new Map(steps.map(({ step, roles }) => [step, wordOf(roles, figure)])));
  const steps = [...new Set(changes.flatMap((words) => [...words.keys()]))].sort((a, b) => a - b);
  const now = records.map(() => '');
  return steps.map((step) => {
    changes.forEach((words, at) => {
      now[at] = words.get(step) ?? now[at]!;
    });
    return [...now];
  });
}

const distinct = (rows: readonly string[][]): string[][] => [
  ...new Map(rows.map((row) => [row.join(' '), row])).values(),
];
