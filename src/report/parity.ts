// SPDX-License-Identifier: GPL-2.0-only
import type { Difference, GroupResult } from '../parity/compare.ts';
import type { Group } from '../parity/fields.ts';
import type { ParityModel, ShareRow } from '../parity/model.ts';
import type { ParityRun } from '../parity/run.ts';
import {
  type Block,
  code,
  details,
  escaped,
  heading,
  list,
  renderMarkdown,
  renderText,
  table,
  text,
} from './document.ts';

const groups: readonly Group[] = ['A', 'B', 'C'];

/** What each group of fields is about. */
const meaning: Readonly<Record<Group, string>> = {
  A: 'roots, register writes and roles',
  B: 'shadow pages',
  C: 'single faults and walks',
};

/** A cell of the matrix: `exact (185)`, or how many differ and the first of them. */
function cell({ exact, compared, differences }: GroupResult): string {
  if (exact === compared) return `exact (${compared})`;
  const [first] = differences;
  return `differs (${compared - exact} of ${compared})${first ? `: ${differenceText(first)}` : ''}`;
}

const differenceText = ({ field, phase, expected, got }: Difference): string =>
  `${field} in ${phase}: expected ${expected}, got ${got}`;

/** Share of exact fields, cut and never rounded up: 100 % means all. */
export const percent = (exact: number, compared: number): string =>
  compared === 0 ? '-' : `${(Math.floor((exact * 10000) / compared) / 100).toFixed(2)} %`;

/** Runs by field groups, for terminals. */
export const parityText = (model: ParityModel): string =>
  renderText([matrix(model.runs), ...stops(model.runs), summary(model), ...notCompared(model.runs)]);

/** The same as Markdown, with every difference. */
export const parityMarkdown = (model: ParityModel): string =>
  renderMarkdown([
    heading(2, 'Runs'),
    matrix(model.runs),
    ...stops(model.runs),
    ...allDifferences(model.runs),
    heading(2, 'Kernels'),
    summary(model),
    ...notCompared(model.runs),
  ]);

function matrix(runs: readonly ParityRun[]): Block {
  const head = ['kernel', 'mode', 'workload', 'era', ...groups.map((group) => `${group}: ${meaning[group]}`)];
  return table(
    head,
    runs.map(({ release, mode, workload, era, groups: results }) => [
      release,
      mode,
      workload,
      era,
      ...groups.map((group) => cell(results[group])),
    ]),
  );
}

function stops(runs: readonly ParityRun[]): Block[] {
  const stopped = runs.filter((run) => run.stopped !== null);
  if (stopped.length === 0) return [];
  return [list(stopped.map((run) => `${code(nameOf(run))} stopped: ${code(run.stopped!)}`))];
}

function allDifferences(runs: readonly ParityRun[]): Block[] {
  return runs.flatMap((run) => {
    const found = groups.flatMap((group) =>
      run.groups[group].differences.map((difference) => ({ group, ...difference })),
    );
    if (found.length === 0) return [];
    const rows = found.map(({ group, field, phase, expected, got }) => [group, field, phase, expected, got]);
    return [
      details(`${nameOf(run)}: ${found.length} differences`, [
        table(['group', 'field', 'phase', 'expected', 'got'], rows),
      ]),
    ];
  });
}

/** Share of exact fields per kernel, mode and group. */
function summary({ kernels, all }: ParityModel): Block {
  const row = ({ release, mode, runs, shares }: ShareRow): (string | number)[] => [
    release,
    mode,
    runs,
    ...groups.map((group) => percent(shares[group].exact, shares[group].compared)),
  ];
  return table(['kernel', 'mode', 'runs', ...groups], [...kernels, all].map(row));
}

/** What is in no percentage, and why. */
function notCompared(runs: readonly ParityRun[]): Block[] {
  const items = runs
    .filter(({ untraced }) => untraced.length > 0)
    .map(
      ({ release, untraced }) =>
        `${code(release)} has no tracepoint for ${untraced.map(code).join(', ')}: not compared`,
    );
  return items.length === 0 ? [] : [list([...new Set(items)])];
}

const nameOf = ({ release, mode, workload }: ParityRun): string => `${release} ${mode} ${workload}`;

/** The same as one JSON document. */
export function parityJson({ runs }: ParityModel): string {
  const rows = runs.map(({ release, mode, workload, era, groups: results, untraced, stopped }) => ({
    release,
    mode,
    workload,
    era,
    groups: results,
    ...(untraced.length === 0 ? {} : { untraced }),
    ...(stopped === null ? {} : { stopped }),
  }));
  return `${JSON.stringify({ runs: rows })}\n`;
}

/** docs/parity.md: the percentages, and what they are percentages of. */
export const parityPage = (model: ParityModel): string =>
  renderMarkdown([
    heading(1, 'Parity with recordings of real kernels'),
    text(
      'How far replays agree with recordings of real kernels that ran the same workloads. Written by `mmu-eras parity --format page`; a test keeps it up to date.',
    ),
    text(
      'Every field of every phase, and of the whole run, is one comparison. A record such as `cr_write_effect` is one field: it is exact when every number in it is. `entry_states` is the sequence of states at guest entry without repetitions, as interrupts of the host make entries of their own.',
    ),
    list(groups.map((group) => `**${group}**: ${meaning[group]}`)),
    heading(2, 'Exact fields'),
    summary(model),
    ...notCompared(model.runs),
    heading(2, 'Differences'),
    ...reasons(model.runs),
    ...differencesOrNone(model.runs),
  ]);

/** What is known of the differences: which of them are chance, and why. */
function reasons(runs: readonly ParityRun[]): Block[] {
  const items = runs.flatMap(({ release, chance }) =>
    chance.map(({ mode, workload, fields, totals, why }) => {
      const what = fields.map(code).join(', ');
      return `${code([release, mode, workload ?? ''].join(' ').trim())}, ${what}${totals ? '' : ' of phases'}: ${escaped(why)}`;
    }),
  );
  return items.length === 0 ? [] : [list([...new Set(items)])];
}

function differencesOrNone(runs: readonly ParityRun[]): Block[] {
  const found = allDifferences(runs);
  return found.length === 0 ? [text('None.')] : found;
}
