// SPDX-License-Identifier: GPL-2.0-only
import { eras as ports } from '../../snapshots/all.ts';
import { UserError } from '../errors.ts';
import { resolveEras } from '../facts/index.ts';
import type { Workload } from '../workload/ops.ts';
import type { HostOptions } from './host.ts';
import { isAvailable, type ReplayResult } from './record.ts';
import { type ReportEra, reportEra } from './report-eras.ts';
import { type ReportPort, type RoleMap, roleMap } from './report-roles.ts';
import { type MmuSection, mmuSection } from './report-section.ts';
import { type SummaryRow, summaryOf } from './report-summary.ts';
import { modeName } from './run.ts';
import type { ReplayTask } from './task.ts';

/** An MMU kind of a report: the mode's name, and the same in words. */
export interface ReportMmu {
  readonly mode: string;
  readonly label: string;
}

/** One workload under all eras and MMU kinds. */
export interface WorkloadReport {
  readonly name: string;
  readonly title: string;
  readonly summary: readonly SummaryRow[];
  readonly sections: readonly MmuSection[];
}

/** Everything a report shows; reporters turn it into text and pictures and compute nothing. */
export interface ReportModel {
  readonly schema: 'mmu-eras-report/2';
  readonly eras: readonly ReportEra[];
  readonly mmus: readonly ReportMmu[];
  readonly workloads: readonly WorkloadReport[];
  readonly roleMaps: readonly RoleMap[];
}

/** What to replay. */
export interface ReportOptions {
  /** An era expression, see `resolveEras`. Eras without a port are told, not replayed. */
  readonly eras: string;
  readonly hosts: readonly HostOptions[];
}

/** Performs replays; results in the order of the tasks. */
export type ReplayAll = (tasks: readonly ReplayTask[]) => Promise<readonly ReplayResult[]>;

/** Replays every workload under every era and MMU kind. UserError for an era expression that names nothing. */
export async function gatherReport(
  workloads: readonly Workload[],
  { eras: expression, hosts }: ReportOptions,
  replayAll: ReplayAll,
): Promise<ReportModel> {
  const records = resolveEras(expression);
  const eras = records.flatMap(({ id }) => ports.find((port) => port.id === id) ?? []);
  if (eras.length === 0) {
    throw new UserError({
      place: `--eras ${expression}`,
      found: `no port of ${records.map(({ id }) => id).join(', ')}`,
      expected: 'at least one era that can be replayed',
      suggestion: '--eras all',
    });
  }
  const tasks = workloads.flatMap((workload) =>
    hosts.flatMap((host) => eras.map(({ id }): ReplayTask => ({ workload, era: id, host }))),
  );
  const results = await replayAll(tasks);
  const resultsOf = (run: number, host: number): readonly ReplayResult[] => {
    const start = (run * hosts.length + host) * eras.length;
    return results.slice(start, start + eras.length);
  };
  return buildReport({
    eras,
    told: records.map((record) =>
      reportEra(
        record,
        eras.some(({ id }) => id === record.id),
      ),
    ),
    mmus: hosts.map(reportMmu),
    runs: workloads.map((workload, run) => ({
      name: workload.name,
      title: workload.title ?? '',
      results: hosts.map((_, host) => resultsOf(run, host)),
    })),
  });
}

/** Replays to report; `results` of a run are by MMU kind in the order of `mmus`, then by era in the order of `eras`. */
export interface ReportParts {
  readonly eras: readonly ReportPort[];
  readonly told: readonly ReportEra[];
  readonly mmus: readonly ReportMmu[];
  readonly runs: readonly {
    readonly name: string;
    readonly title: string;
    readonly results: readonly (readonly ReplayResult[])[];
  }[];
}

/** The model from finished replays. */
export function buildReport({ eras, told, mmus, runs }: ReportParts): ReportModel {
  return {
    schema: 'mmu-eras-report/2',
    eras: told,
    mmus,
    workloads: runs.map(({ name, title, results }) => ({
      name,
      title,
      summary: summaryOf(
        eras.map(({ id }) => id),
        results,
      ),
      sections: mmus.map((mmu, index) => mmuSection(mmu, eras, results[index]!)),
    })),
    roleMaps: mmus.flatMap((mmu, index) => mapsOf(mmu, eras, runs, index)),
  };
}

/** The mode's name, and the same in words. */
export function reportMmu(host: HostOptions): ReportMmu {
  const { kind, implementation, vendor } = host;
  const name = { shadow: 'shadow paging', npt: 'NPT', ept: 'EPT' }[kind];
  const how =
    kind === 'shadow'
      ? `, ${vendor === 'svm' ? 'AMD' : 'Intel'}`
      : { none: ", the kernel's default MMU", legacy: ', legacy MMU', 'tdp-mmu': ', TDP MMU' }[
          implementation ?? 'none'
        ];
  return { mode: modeName(host), label: name + how };
}

/** The maps of one MMU kind over all workloads. */
function mapsOf(
  { mode, label }: ReportMmu,
  eras: readonly ReportPort[],
  runs: ReportParts['runs'],
  index: number,
): RoleMap[] {
  const ran = eras.map((era, row) => ({
    era,
    records: runs.map(({ results }) => results[index]![row]!).filter(isAvailable),
  }));
  return (['tables', 'guest walk'] as const).flatMap((purpose) => {
    const map = roleMap(purpose, ran);
    return map ? [{ mode, label, purpose, ...map }] : [];
  });
}
