// SPDX-License-Identifier: GPL-2.0-only
import type { Measured } from './measure.ts';
import type { MeasuredReplay } from './replays.ts';

/** Two C processes at once: what the machine itself loses when both of its processors work. */
export interface Control {
  readonly workload: string;
  /** Million events a second of elapsed time: one process, and both of two together. */
  readonly alone_mev_s: number;
  readonly together_mev_s: number;
  /** Their ratio: 2 is a machine that loses nothing. */
  readonly speedup: number;
}

/** What it ran on. */
export interface BenchHost {
  readonly processor: string;
  readonly processors: number;
  readonly node: string;
  readonly compiler: string;
}

/** Everything a run measured. */
export interface BenchReport {
  readonly host: BenchHost;
  readonly scale: number;
  readonly runs: number;
  readonly workloads: readonly Measured[];
  readonly control: Control;
  readonly replays: readonly MeasuredReplay[];
}

const columns = ['workload', 'Mev/s', 'min', 'max', 'C Mev/s', 'C min', 'C max', 'ratio', 'counters'] as const;

function rowsOf({ workloads }: BenchReport): string[][] {
  return workloads.map((w) => [
    w.name,
    ...[w.mev_s, w.min, w.max, w.c_mev_s, w.c_min, w.c_max].map((speed) => speed.toFixed(2)),
    w.ratio.toFixed(2),
    w.counters_equal ? 'equal' : w.other_rules ? 'other rules' : 'DIFFER',
  ]);
}

const replayColumns = ['era', 'steps', 'thousand steps/s', 'thousand accesses/s'] as const;

const replayRows = ({ replays }: BenchReport): string[][] =>
  replays.map(({ era, steps, ksteps_s, kaccesses_s }) => [
    era,
    String(steps),
    ksteps_s.toFixed(1),
    kaccesses_s.toFixed(1),
  ]);

const controlText = ({ control: { workload, alone_mev_s, together_mev_s, speedup } }: BenchReport): string =>
  `Control, two C processes at once (${workload}): ${alone_mev_s.toFixed(2)} Mev/s alone, ${together_mev_s.toFixed(2)} together, speed-up ${speedup.toFixed(2)}.`;

function differencesText({ workloads }: BenchReport): string[] {
  return workloads.flatMap(({ name, differences }) =>
    differences.map(({ counter, product, c }) => `${name}: ${counter} ${product}, C ${c}`),
  );
}

/** Shadow tables are compared with a C program that follows KVM's rules; this is the one that does not. */
function plainText({ workloads }: BenchReport): string[] {
  const plain = workloads.flatMap(({ name, plain_c_mev_s: speed, plain_ratio: ratio }) =>
    speed === undefined || ratio === undefined ? [] : [`${name} ${speed.toFixed(2)} Mev/s, ${ratio.toFixed(2)}`],
  );
  return plain.length === 0 ? [] : [`C without KVM's rules, and the ratio to it: ${plain.join('; ')}.`];
}

/** As text for a terminal. */
export function textReport(report: BenchReport): string {
  const parts = [aligned([[...columns], ...rowsOf(report)]), ...plainText(report), controlText(report)];
  const different = differencesText(report);
  if (different.length > 0) parts.push(['Counters that differ:', ...different.map((line) => `  ${line}`)].join('\n'));
  if (report.replays.length > 0) {
    parts.push(`Whole replays of wp-toggle, shadow paging\n${aligned([[...replayColumns], ...replayRows(report)])}`);
  }
  return `${parts.join('\n\n')}\n`;
}

/** The tables for docs/performance.md. */
export function markdownReport(report: BenchReport): string {
  const { host, runs, scale } = report;
  const parts = [
    `${host.processors} processors ${host.processor}; Node ${host.node}; ${host.compiler}; ${runs} repetitions at scale ${scale}.`,
    markdownTable(columns, rowsOf(report)),
    ...plainText(report),
    controlText(report),
  ];
  if (report.replays.length > 0) {
    parts.push('### Whole replays', 'The bundled `wp-toggle`, shadow paging, machine and records included.');
    parts.push(markdownTable(replayColumns, replayRows(report)));
  }
  return parts.join('\n\n');
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return rows.map(line).join('\n');
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}
