// SPDX-License-Identifier: GPL-2.0-only
import { FIRST_ROOT } from '../replay/record.ts';
import type { ReportEra } from '../replay/report-eras.ts';
import type { DecodedWord, RolesInForce } from '../replay/report-roles.ts';
import type { MmuSection, ReloadRow, WriteOutcome, WriteRow } from '../replay/report-section.ts';
import { type Block, code, details, escaped, heading, list, table, text } from './document.ts';
import { eraLabel } from './era-label.ts';
import type { Cell } from './table.ts';

/** More rows than anybody reads; what is left out is counted, and stands in report.json. */
const mostRows = 24;

type Eras = readonly ReportEra[];

/** One workload under one MMU kind. */
export function sectionBlocks(eras: Eras, workload: string, section: MmuSection): Block[] {
  const title = heading(3, `${escaped(workload)}: ${section.mmu.label}`);
  if (section.eras.length === 0) return [title, ...remarkBlocks(eras, section)];
  return [
    title,
    ...remarkBlocks(eras, section),
    ...reloadBlocks(eras, section),
    ...writeBlocks(eras, section),
    ...roleBlocks(eras, section),
    ...costBlocks(eras, section),
    ...totalsBlocks(eras, section),
    ...phaseBlocks(eras, section),
    ...faultBlocks(eras, section),
  ];
}

/** A table that ends where reading ends, and says what it left out. */
function capped(head: readonly string[], rows: readonly (readonly Cell[])[]): Block[] {
  const left = rows.length - mostRows;
  if (left <= 0) return [table(head, rows)];
  const more = `${left} further ${left === 1 ? 'row stands' : 'rows stand'} in report.json.`;
  return [table(head, rows.slice(0, mostRows)), text(more)];
}

const eraList = (eras: Eras, ids: readonly string[]): string => ids.map((id) => eraLabel(eras, id)).join(', ');

/** Names in the order of their calls; one that follows itself is named once, with how often. */
function functions(names: readonly string[]): string {
  const runs: { readonly name: string; times: number }[] = [];
  for (const name of names) {
    const last = runs.at(-1);
    if (last?.name === name) last.times++;
    else runs.push({ name, times: 1 });
  }
  return runs.map(({ name, times }) => code(name) + (times === 1 ? '' : ` ×${times}`)).join(' › ');
}

/** Everything that was not replayed as written. */
function remarkBlocks(eras: Eras, { remarks }: MmuSection): Block[] {
  if (remarks.length === 0) return [];
  const items = remarks.map(({ eras: ids, text: what, op }) =>
    [`${eraList(eras, ids)}: ${escaped(what)}`, ...(op === '' ? [] : [code(op)])].join(' '),
  );
  return [heading(4, 'Not replayed as written'), list(items)];
}

function reloadBlocks(eras: Eras, { reloads }: MmuSection): Block[] {
  const rows = reloads.map((row) => [
    row.count,
    row.by === null ? FIRST_ROOT : code(row.by),
    escaped(row.bits),
    eraList(eras, row.eras),
    firstAt(row),
    functions(row.chain),
    perPhase(row.perPhase),
  ]);
  if (rows.length === 0) return [];
  const head = ['loads', 'decided by', 'because of', 'eras', 'first at line', 'call chain', 'in phase'];
  return [heading(4, 'Root loads and their reasons'), ...capped(head, rows)];
}

function firstAt({ line, op }: ReloadRow): string {
  if (line === 0) return 'before the first op';
  return op === '' ? String(line) : `${line} ${code(op)}`;
}

/** Three phases say where it happened; more would be a table of their own. The count of a single one is that of all loads. */
function perPhase(counts: Readonly<Record<string, number>>): string {
  const phases = Object.entries(counts).sort(([, a], [, b]) => b - a);
  if (phases.length === 1) return escaped(phases[0]![0]);
  const shown = phases.slice(0, 3).map(([phase, count]) => `${escaped(phase)} ${count}`);
  const left = phases.length - shown.length;
  return [...shown, ...(left > 0 ? [`${left} more ${left === 1 ? 'phase' : 'phases'}`] : [])].join(', ');
}

const outcomeText: Readonly<Record<WriteOutcome, string>> = {
  'no exit': 'no exit: KVM did not see it',
  '#GP': 'refused with #GP',
  'root load': 'root load before the next entry',
  'no root load': 'no root load',
};

function writeBlocks(eras: Eras, { writes }: MmuSection): Block[] {
  const rows = writes.map((row) => [
    row.count,
    escaped(row.write),
    outcomeText[row.outcome],
    eraList(eras, row.eras),
    led(row),
  ]);
  if (rows.length === 0) return [];
  return [
    heading(4, 'Register writes and what each led to'),
    ...capped(['times', 'changed bits', 'outcome', 'eras', 'KVM functions that ran before the next entry'], rows),
  ];
}

function led({ outcome, calls }: WriteRow): string {
  if (outcome === 'no exit' || outcome === '#GP') return '';
  return calls.length === 0 ? 'none' : functions(calls);
}

function roleBlocks(eras: Eras, { roles }: MmuSection): Block[] {
  const rows = roles.map((row) => [
    row.entries,
    eraList(eras, row.eras),
    escaped(row.mmu),
    row.words.map(wordText).join('; '),
    levels(row),
    row.phases.length > 3
      ? `${row.phases.slice(0, 3).map(escaped).join(', ')}, ${row.phases.length - 3} more`
      : row.phases.map(escaped).join(', '),
  ]);
  if (rows.length === 0) return [];
  const sorted = [...rows].sort((a, b) => Number(b[0]) - Number(a[0]));
  const head = ['entries', 'eras', 'MMU', 'role words, fields that are not 0', 'levels guest / host', 'phases'];
  return [heading(4, 'Roles in force at guest entry'), ...capped(head, sorted)];
}

const levels = ({ guestLevels, hostLevels }: RolesInForce): string => `${guestLevels} / ${hostLevels}`;

function wordText({ word, hex, fields, unknownBase, unknownExtended }: DecodedWord): string {
  const named = fields.map(({ name, value }) => (value === 1 ? name : `${name}=${value}`));
  const unnamed = [unknownBase, unknownExtended]
    .filter((bits) => bits !== 0)
    .map((bits) => `unnamed bits 0x${(bits >>> 0).toString(16)}`);
  const content = [...named, ...unnamed].join(' ');
  return `${code(word)} ${code(hex)}${content === '' ? '' : ` ${escaped(content)}`}`;
}

const columnsOf = (eras: Eras, section: MmuSection): string[] => section.eras.map((id) => eraLabel(eras, id));

function costBlocks(eras: Eras, section: MmuSection): Block[] {
  const rows = section.cost.filter(({ values }) => values.some((value) => value !== 0));
  return [
    heading(4, 'Walk cost'),
    table(
      ['counter', ...columnsOf(eras, section)],
      // Names of more than one word are words, not counters.
      rows.map(({ name, values }) => [name.includes(' ') ? name : code(name), ...values]),
    ),
  ];
}

function totalsBlocks(eras: Eras, section: MmuSection): Block[] {
  const rows = section.totals.flatMap(({ group, rows: ofGroup }) =>
    ofGroup.map(({ name, values }) => [group, group === 'exits' ? escaped(name) : code(name), ...values]),
  );
  return [details('Totals', [table(['group', 'counter', ...columnsOf(eras, section)], rows)])];
}

function phaseBlocks(eras: Eras, section: MmuSection): Block[] {
  const rows = section.phases.flatMap(({ phase, counters }) =>
    counters.map(({ name, values }, index) => [
      index === 0 ? escaped(phase) : '',
      code(name),
      ...values.map((value) => value ?? 'not reached'),
    ]),
  );
  const head = ['phase', 'counter', ...columnsOf(eras, section)];
  return rows.length === 0 ? [] : [details(`Phases (${section.phases.length})`, [table(head, rows)])];
}

function faultBlocks(eras: Eras, { faults }: MmuSection): Block[] {
  const rows = faults.map((row) => [
    row.count,
    `${row.vector} ${vectorNames[row.vector] ?? ''}`.trim(),
    `0x${row.errorCode.toString(16)}`,
    escaped(row.phase),
    eraList(eras, row.eras),
  ]);
  if (rows.length === 0) return [];
  return [details('Exceptions that the guest saw', capped(['times', 'vector', 'error code', 'phase', 'eras'], rows))];
}

const vectorNames: Readonly<Record<number, string>> = { 6: '#UD', 13: '#GP', 14: '#PF' };
