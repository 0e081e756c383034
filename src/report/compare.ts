// SPDX-License-Identifier: GPL-2.0-only
import type { Comparison, StepDifference, StepWork } from '../replay/compare.ts';
import { FIRST_ROOT } from '../replay/record.ts';
import { type Block, code, escaped, heading, list, table, text } from './document.ts';
import type { Cell } from './table.ts';

const WHOLE = 'A trace is compared as a whole, not event by event.';

/** A comparison as a document: the first divergence, every differing step, fields of one layout only, totals. */
export function compareDocument(comparison: Comparison): Block[] {
  const { workload, mode, a, b, ofTrace, steps, reloads, totals, onlyIn, notInEra } = comparison;
  const [first] = steps;
  return [
    heading(1, `${escaped(workload)} (${mode}): ${a} and ${b}`),
    text(first ? `First divergence: ${describe(first, a, b)}` : ofTrace ? WHOLE : 'No step differs.'),
    ...(steps.length > 0 ? [heading(2, 'Differing steps'), stepTable(comparison)] : []),
    ...(reloads.length > 0
      ? [
          heading(2, 'Root loads by reason'),
          table(
            ['decided by', 'because of', a, b],
            reloads.map((reload) => [reload.by || FIRST_ROOT, reload.bits, reload.a, reload.b]),
          ),
        ]
      : []),
    ...(totals.length > 0
      ? [
          heading(2, 'Totals that differ'),
          table(
            ['counter', a, b],
            totals.map((total) => [total.name, total.a, total.b]),
          ),
        ]
      : [text('No counter differs.')]),
    ...(onlyIn.length > 0
      ? [
          heading(2, 'Fields of one layout only'),
          table(
            ['word', a, b],
            onlyIn.map((only) => [only.purpose, only.a.join(' '), only.b.join(' ')]),
          ),
        ]
      : []),
    ...(notInEra.length > 0
      ? [
          heading(2, 'Not replayed as written'),
          list(notInEra.map(({ era, line, op, reason }) => `${era}: line ${line} ${code(op)}: ${reason}`)),
        ]
      : []),
  ];
}

/** Steps that a loop repeats with the same outcome are one row, at the first of them. */
function stepTable({ steps, a, b }: Comparison): Block {
  const rows = new Map<string, { readonly first: number; times: number; readonly cells: readonly Cell[] }>();
  for (const step of steps) {
    const cells = [step.line, code(step.op), escaped(step.phase), work(step.a), work(step.b), roleText(step)];
    const key = JSON.stringify(cells);
    const known = rows.get(key);
    if (known) known.times++;
    else rows.set(key, { first: step.step, times: 1, cells });
  }
  return table(
    ['first step', 'times', 'line', 'op', 'phase', a, b, 'roles'],
    [...rows.values()].map(({ first, times, cells }) => [first, times, ...cells]),
  );
}

function describe(step: StepDifference, a: string, b: string): string {
  const roles = roleText(step);
  return `step ${step.step}, line ${step.line} ${code(step.op)} (phase ${escaped(step.phase)}): ${a} ${work(step.a)}; ${b} ${work(step.b)}${roles === '' ? '' : `; ${roles}`}`;
}

function work({ loads, unloads, hits, reasons }: StepWork): string {
  const done = [
    ...(unloads > 0 ? [`unloads ${unloads}`] : []),
    ...(loads > 0 ? [`loads ${loads}`] : []),
    ...(hits > 0 ? [`finds ${hits}`] : []),
  ];
  const why = [...new Set(reasons)].join(', ');
  return `${done.length === 0 ? 'keeps its root' : done.join(', ')}${why === '' ? '' : ` [${why}]`}`;
}

const roleText = ({ roles }: StepDifference): string =>
  roles.map(({ purpose, a, b }) => `${purpose}: ${a.field} ${a.value} / ${b.field} ${b.value}`).join('; ');

export const compareJson = (comparison: Comparison): string => `${JSON.stringify(comparison, null, 1)}\n`;

/** One differing step a line. */
export const compareJsonl = ({ steps }: Comparison): string =>
  steps.map((step) => `${JSON.stringify(step)}\n`).join('');
