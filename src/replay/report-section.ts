// SPDX-License-Identifier: GPL-2.0-only
import { type Figure, figuresOf } from './figures.ts';
import { isAvailable, type ReplayRecord, type ReplayResult } from './record.ts';
import type { ReportMmu } from './report-model.ts';
import { type ReportPort, type RolesInForce, rolesInForce } from './report-roles.ts';

/** A counter with its value in each era of the section. */
export interface CounterRow {
  readonly name: string;
  readonly values: readonly number[];
}

/** Why roots were loaded, for the eras that agree in all of it. */
export interface ReloadRow {
  readonly eras: readonly string[];
  /** Kernel function that decided; null for the first root of a context. */
  readonly by: string | null;
  readonly bits: string;
  readonly chain: readonly string[];
  readonly count: number;
  /** Source line of the first load, and its op. */
  readonly line: number;
  readonly op: string;
  readonly perPhase: Readonly<Record<string, number>>;
}

/** What came of a register write: no exit at all, a #GP, a root load before the next entry, or none. */
export type WriteOutcome = 'no exit' | '#GP' | 'root load' | 'no root load';

/** What register writes of one kind led to, for the eras that agree in it. */
export interface WriteRow {
  readonly write: string;
  readonly eras: readonly string[];
  readonly outcome: WriteOutcome;
  /** MMU functions that ran, in order. */
  readonly calls: readonly string[];
  readonly count: number;
}

/** Counters of one phase that are not 0 everywhere; null where an era did not reach the phase. */
export interface PhaseRow {
  readonly phase: string;
  readonly counters: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}

/** Exceptions that the guest saw. */
export interface FaultRow {
  readonly eras: readonly string[];
  readonly phase: string;
  readonly vector: number;
  readonly errorCode: number;
  readonly count: number;
}

/** One workload under one MMU kind. Columns of values stand in the order of `eras`. */
export interface MmuSection {
  readonly mmu: ReportMmu;
  /** Eras that ran it. */
  readonly eras: readonly string[];
  readonly totals: readonly { readonly group: string; readonly rows: readonly CounterRow[] }[];
  readonly reloads: readonly ReloadRow[];
  readonly writes: readonly WriteRow[];
  readonly roles: readonly RolesInForce[];
  readonly phases: readonly PhaseRow[];
  readonly cost: readonly CounterRow[];
  readonly faults: readonly FaultRow[];
  /** Everything that was not replayed as written. */
  readonly remarks: readonly { readonly eras: readonly string[]; readonly text: string; readonly op: string }[];
}

/** Gathers one workload under one MMU kind from its replays. */
export function mmuSection(mmu: ReportMmu, eras: readonly ReportPort[], results: readonly ReplayResult[]): MmuSection {
  const records = results.filter(isAvailable);
  return {
    mmu,
    eras: records.map(({ era }) => era),
    totals: totalsOf(records),
    reloads: byKind(merge(records, reloadsOf), ({ bits }) => bits),
    writes: byKind(merge(records, writesOf), ({ write }) => write),
    roles: merge(records, (record) => rolesInForce(eras.find(({ id }) => id === record.era)!, record)),
    phases: phasesOf(records),
    cost: costOf(records),
    faults: merge(records, faultsOf),
    remarks: merge(results, remarksOf),
  };
}

/** One row for all eras whose rows are equal in everything, in order of first appearance. */
function merge<R extends { readonly era: string }, Row>(
  from: readonly R[],
  rowsOf: (one: R) => readonly Row[],
): (Row & { readonly eras: readonly string[] })[] {
  const merged = new Map<string, Row & { eras: string[] }>();
  for (const one of from) {
    for (const row of rowsOf(one)) {
      const key = JSON.stringify(row);
      const known = merged.get(key);
      if (known) known.eras.push(one.era);
      else merged.set(key, { ...row, eras: [one.era] });
    }
  }
  return [...merged.values()];
}

function totalsOf(records: readonly ReplayRecord[]): MmuSection['totals'] {
  const columns = records.map(({ total }) => figuresOf(total));
  const groups: Figure['group'][] = ['roots', 'pages', 'faults'];
  const totals = groups.map((group) => ({
    group: group as string,
    rows: (columns[0] ?? []).flatMap((figure, row) =>
      figure.group === group ? [{ name: figure.name, values: columns.map((figures) => figures[row]!.value) }] : [],
    ),
  }));
  const exits = [...new Set(records.flatMap(({ total }) => Object.keys(total.exits)))].map((name) => ({
    name,
    values: records.map(({ total }) => total.exits[name] ?? 0),
  }));
  return [...totals, { group: 'exits', rows: exits }].map(({ group, rows }) => ({
    group,
    rows: rows.filter(({ values }) => values.some((value) => value !== 0)),
  }));
}

function reloadsOf({ reloads, steps }: ReplayRecord): Omit<ReloadRow, 'eras'>[] {
  return [...reloads]
    .sort((a, b) => b.count - a.count)
    .map(({ by, bits, chain, count, line, perPhase }) => ({
      by: by === '' ? null : by,
      bits,
      chain,
      count,
      line,
      op: steps.find((step) => step.line === line)?.op ?? '',
      perPhase,
    }));
}

const writesOf = ({ writeEffects }: ReplayRecord): Omit<WriteRow, 'eras'>[] =>
  writeEffects.map(({ write, calls, count }) => ({ write, outcome: outcomeOf(calls), calls: calls ?? [], count }));

function outcomeOf(calls: readonly string[] | null): WriteOutcome {
  if (calls === null) return 'no exit';
  if (calls.includes('#GP')) return '#GP';
  return calls.includes('kvm_mmu_load') ? 'root load' : 'no root load';
}

/** Rows of one kind stay together, in the order of the eras; the kind with the largest count comes first. */
function byKind<Row extends { readonly count: number }>(rows: readonly Row[], kindOf: (row: Row) => string): Row[] {
  const most = new Map<string, number>();
  for (const row of rows) most.set(kindOf(row), Math.max(most.get(kindOf(row)) ?? 0, row.count));
  const kinds = [...most].sort(([, a], [, b]) => b - a).map(([kind]) => kind);
  return kinds.flatMap((kind) => rows.filter((row) => kindOf(row) === kind));
}

/** The counters that most people look for first. */
const phaseFigures = ['mmu_load', 'full_unloads', 'get_page.new', 'get_page.existing', 'page_faults', 'tlb_misses'];

function phasesOf(records: readonly ReplayRecord[]): PhaseRow[] {
  const columns = records.map(
    ({ phases }) =>
      new Map(
        phases.map(({ name, counts }) => [
          name,
          new Map(figuresOf(counts).map((figure) => [figure.name, figure.value])),
        ]),
      ),
  );
  const names = [...new Set(records.flatMap(({ phases }) => phases.map(({ name }) => name)))];
  return names.map((phase) => ({
    phase,
    counters: phaseFigures
      .map((name) => ({ name, values: columns.map((column) => column.get(phase)?.get(name) ?? null) }))
      .filter(({ values }) => values.some((value) => value !== null && value !== 0)),
  }));
}

/** The figures of walk cost, and the sum of the entries read in all dimensions. */
function costOf(records: readonly ReplayRecord[]): CounterRow[] {
  const columns = records.map(({ total }) => figuresOf(total).filter(({ group }) => group === 'walk cost'));
  const rows = (columns[0] ?? []).map(({ name }, row) => ({
    name,
    values: columns.map((figures) => figures[row]!.value),
  }));
  const reads = rows.filter(({ name }) => name.startsWith('reads_'));
  const sum = records.map((_, era) => reads.reduce((total, { values }) => total + values[era]!, 0));
  return records.length === 0 ? [] : [...rows, { name: 'reads of all dimensions', values: sum }];
}

/** Faults of one phase that differ in their address alone are one line. */
function faultsOf({ guestFaults }: ReplayRecord): Omit<FaultRow, 'eras'>[] {
  const rows = new Map<string, Omit<FaultRow, 'eras'> & { count: number }>();
  for (const { phase, vector, errorCode, count } of guestFaults) {
    const key = `${phase} ${vector} ${errorCode}`;
    const known = rows.get(key);
    if (known) known.count += count;
    else rows.set(key, { phase, vector, errorCode, count });
  }
  return [...rows.values()];
}

function remarksOf(result: ReplayResult): { text: string; op: string }[] {
  if (!isAvailable(result)) return [{ text: result.unavailable, op: '' }];
  const { stopped, notInEra } = result;
  return [
    ...(stopped ? [{ text: `the guest stopped at line ${stopped.line}: ${stopped.reason}`, op: '' }] : []),
    ...notInEra.map(({ line, op, reason, count }) => ({
      text: `line ${line}, ${count} ${count === 1 ? 'time' : 'times'}: ${reason}`,
      op,
    })),
  ];
}
