// SPDX-License-Identifier: GPL-2.0-only
import { figuresOf } from '../replay/figures.ts';
import { type EntryState, FIRST_ROOT, isAvailable, type ReplayRecord, type ReplayResult } from '../replay/record.ts';
import { roleHex } from '../replay/report-roles.ts';
import { csvCell } from './csv.ts';
import { type Block, code, escaped, heading, list, table, text } from './document.ts';
import type { Cell } from './table.ts';

/** What to show beside the totals. */
export interface ReplayView {
  /** Function and register bit of each reload. */
  readonly explain: boolean;
  /** Every counter of every phase. */
  readonly phases: boolean;
  /** Eras among the results that no kernel ever was. */
  readonly proposed: readonly string[];
}

/** A replay under several eras as a document: totals, phases, roles in force, reloads, and what could not be shown. */
export function replayDocument(results: readonly ReplayResult[], view: ReplayView): Block[] {
  const [first] = results;
  if (!first) return [text('Nothing was replayed.')];
  const records = results.filter(isAvailable);
  return [
    heading(1, `${escaped(first.workload)} (${first.mode})`),
    ...proposedBlocks(view.proposed),
    ...totalsBlocks(records),
    ...phaseBlocks(records, view.phases),
    ...roleBlocks(records),
    ...reloadBlocks(records, view.explain),
    ...(view.explain ? effectBlocks(records) : []),
    ...exceptionBlocks(records),
    ...remarkBlocks(results),
  ];
}

function totalsBlocks(records: readonly ReplayRecord[]): Block[] {
  if (records.length === 0) return [];
  const columns = records.map(({ total }) => figuresOf(total));
  const rows = columns[0]!
    .map(({ name }, i) => [name, ...columns.map((figures) => figures[i]!.value)])
    .filter((row) => row.some((cell) => typeof cell === 'number' && cell !== 0));
  return [heading(2, 'Totals'), table(['counter', ...records.map(({ era }) => era)], rows)];
}

/** The counters that most people look for first; all of them with `--phases`. */
const briefFigures = ['mmu_load', 'full_unloads', 'get_page.new', 'get_page.existing', 'page_faults', 'tlb_misses'];

function phaseBlocks(records: readonly ReplayRecord[], everything: boolean): Block[] {
  const rows = records.flatMap(({ era, phases }) =>
    phases.map(({ name, counts }) => ({ era, name, figures: figuresOf(counts) })),
  );
  if (rows.length === 0) return [];
  if (everything) {
    const cells = rows.flatMap(({ era, name, figures }) =>
      figures.filter(({ value }) => value !== 0).map((figure) => [escaped(name), era, figure.name, figure.value]),
    );
    return [heading(2, 'Phases'), table(['phase', 'era', 'counter', 'value'], cells)];
  }
  const pick = (figures: (typeof rows)[number]['figures'], name: string) =>
    figures.find((figure) => figure.name === name)!.value;
  const phaseNames = [...new Set(rows.map(({ name }) => name))];
  const cells = phaseNames.flatMap((phase) =>
    rows
      .filter(({ name }) => name === phase)
      .map(({ era, figures }) => [escaped(phase), era, ...briefFigures.map((name) => pick(figures, name))]),
  );
  return [heading(2, 'Phases'), table(['phase', 'era', ...briefFigures], cells)];
}

function roleBlocks(records: readonly ReplayRecord[]): Block[] {
  const rows = records.flatMap((record) =>
    groupStates(record).map(({ state, entries, phases }) => [
      record.era,
      state.mmu,
      record.roleWords.map((word, i) => `${word}=${roleHex(state.roles[i]!)}`).join(' '),
      state.guestLevels,
      state.hostLevels,
      entries,
      escaped(phases.join(' ')),
    ]),
  );
  if (rows.length === 0) return [];
  return [
    heading(2, 'Roles in force at guest entry'),
    table(['era', 'mmu', 'roles', 'guest levels', 'host levels', 'entries', 'phases'], rows),
  ];
}

/** Entry states summed over roots and neighbours: one line for each set of role words. */
function groupStates({ entryStates }: ReplayRecord): { state: EntryState; entries: number; phases: string[] }[] {
  const groups = new Map<string, { state: EntryState; entries: number; phases: string[] }>();
  for (const state of entryStates) {
    const key = `${state.mmu} ${state.guestLevels} ${state.hostLevels} ${state.roles.map(roleHex).join(' ')}`;
    const group = groups.get(key);
    if (!group) groups.set(key, { state, entries: state.entries, phases: [state.phase] });
    else {
      group.entries += state.entries;
      if (!group.phases.includes(state.phase)) group.phases.push(state.phase);
    }
  }
  return [...groups.values()];
}

function reloadBlocks(records: readonly ReplayRecord[], explain: boolean): Block[] {
  const rows = records.flatMap(({ era, reloads }) =>
    [...reloads]
      .sort((a, b) => b.count - a.count)
      .map((reload) => [
        era,
        reload.count,
        reload.by === '' ? FIRST_ROOT : reload.by,
        reload.bits,
        ...(explain ? [reload.line, reload.chain.join(' > '), phaseCounts(reload.perPhase)] : []),
      ]),
  );
  if (rows.length === 0) return [];
  const head = [
    'era',
    'loads',
    'decided by',
    'because of',
    ...(explain ? [`first at ${placeWord(records[0]!)}`, 'call chain', 'per phase'] : []),
  ];
  return [heading(2, 'Root loads and their reasons'), table(head, rows)];
}

const placeWord = ({ linesAre }: ReplayRecord): string => (linesAre === 'events' ? 'event' : 'line');

const phaseCounts = (perPhase: Readonly<Record<string, number>>): string =>
  Object.entries(perPhase)
    .map(([phase, count]) => `${escaped(phase)} ${count}`)
    .join(', ');

const proposedBlocks = (proposed: readonly string[]): Block[] =>
  proposed.length === 0
    ? []
    : [text(`${proposed.join(', ')}: proposed on the list, never merged; no kernel ever behaved like this.`)];

/** What each register write led to: the answer to "why was the root kept here?" as well. */
function effectBlocks(records: readonly ReplayRecord[]): Block[] {
  const rows = mergeEras(records, ({ writeEffects }) =>
    writeEffects.map(({ write, calls, count }) => [
      write,
      calls === null ? 'did not leave the guest' : calls.length === 0 ? 'nothing' : calls.join(' > '),
      count,
    ]),
  );
  if (rows.length === 0) return [];
  return [
    heading(2, 'Register writes and what they led to'),
    table(['eras', 'write', 'until the next entry', 'times'], rows),
  ];
}

function exceptionBlocks(records: readonly ReplayRecord[]): Block[] {
  const rows = mergeEras(records, ({ guestFaults }) =>
    guestFaults.map(({ phase, vector, errorCode, address, count }) => [
      escaped(phase),
      exceptionNames[vector] ?? `vector ${vector}`,
      `0x${errorCode.toString(16)}`,
      address,
      count,
    ]),
  );
  if (rows.length === 0) return [];
  return [
    heading(2, 'Exceptions the guest saw'),
    table(['eras', 'phase', 'exception', 'error code', 'address', 'times'], rows),
  ];
}

const exceptionNames: Readonly<Record<number, string>> = { 6: '#UD', 13: '#GP', 14: '#PF' };

/** Rows of every era, a row that several share once with all their names. */
function mergeEras(records: readonly ReplayRecord[], rowsOf: (record: ReplayRecord) => Cell[][]): Cell[][] {
  const merged = new Map<string, { eras: string[]; row: Cell[] }>();
  for (const record of records) {
    for (const row of rowsOf(record)) {
      const key = row.join(' ');
      const known = merged.get(key);
      if (known) known.eras.push(record.era);
      else merged.set(key, { eras: [record.era], row });
    }
  }
  const all = records.length > 1 ? records.length : 0;
  return [...merged.values()].map(({ eras, row }) => [eras.length === all ? 'all' : eras.join(', '), ...row]);
}

/** Everything that was not replayed as written: said in every format, never dropped. */
function remarkBlocks(results: readonly ReplayResult[]): Block[] {
  const remarks = results.flatMap((result): string[] => {
    if (!isAvailable(result)) return [`${result.era}: ${result.unavailable}`];
    const { era, stopped, notInEra } = result;
    return [
      ...(stopped
        ? [`${era}: the guest stopped at ${placeWord(result)} ${stopped.line}: ${escaped(stopped.reason)}`]
        : []),
      ...notInEra.map(({ line, op, reason, count }) => `${era}: line ${line} ${code(op)}: ${reason} (${count} times)`),
    ];
  });
  return remarks.length === 0 ? [] : [heading(2, 'Not replayed as written'), list(remarks)];
}

/** Long form for spreadsheets and SQL: one counter a line. */
export function replayCsv(results: readonly ReplayResult[]): string {
  const lines = ['workload,mode,era,phase,counter,value'];
  for (const result of results) {
    const start = [result.workload, result.mode, result.era].map(csvCell).join(',');
    if (!isAvailable(result)) {
      lines.push(`${start},,unavailable,${csvCell(result.unavailable)}`);
      continue;
    }
    for (const { name, counts } of [...result.phases, { name: 'total', counts: result.total }]) {
      for (const figure of figuresOf(counts)) lines.push(`${start},${csvCell(name)},${figure.name},${figure.value}`);
    }
    for (const { line, reason, count } of result.notInEra)
      lines.push(`${start},line ${line},${csvCell(reason)},${count}`);
  }
  return `${lines.join('\n')}\n`;
}

export const replayJson = (results: readonly ReplayResult[]): string => `${JSON.stringify({ results }, null, 1)}\n`;

export const replayJsonl = (results: readonly ReplayResult[]): string =>
  results.map((result) => `${JSON.stringify(result)}\n`).join('');
