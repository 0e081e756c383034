// SPDX-License-Identifier: GPL-2.0-only
import { type Group, groups } from './fields.ts';
import type { Recording } from './recording.ts';
import { type ParityOptions, type ParityRun, parityRun } from './run.ts';

/** Exact fields of those compared. */
export interface Share {
  readonly exact: number;
  readonly compared: number;
}

/** All runs of one kernel in one mode. */
export interface ShareRow {
  readonly release: string;
  readonly mode: string;
  readonly runs: number;
  readonly shares: Readonly<Record<Group, Share>>;
}

/** Everything that the reports of a comparison show. */
export interface ParityModel {
  readonly runs: readonly ParityRun[];
  /** In the order of the runs. */
  readonly kernels: readonly ShareRow[];
  readonly all: ShareRow;
}

/** Compares every recording with its era. */
export function gatherParity(recordings: readonly Recording[], options: ParityOptions): ParityModel {
  return parityModel(recordings.map((recording) => parityRun(recording, options)));
}

/** The model of finished comparisons. */
export function parityModel(runs: readonly ParityRun[]): ParityModel {
  const byMode = new Map<string, ParityRun[]>();
  for (const run of runs) {
    const key = `${run.release}/${run.mode}`;
    byMode.set(key, [...(byMode.get(key) ?? []), run]);
  }
  const kernels = [...byMode.values()].map((of) => shareRow(of[0]!.release, of[0]!.mode, of));
  return { runs, kernels, all: shareRow('all', '', runs) };
}

function shareRow(release: string, mode: string, runs: readonly ParityRun[]): ShareRow {
  const share = (group: Group): Share => ({
    exact: runs.reduce((sum, run) => sum + run.groups[group].exact, 0),
    compared: runs.reduce((sum, run) => sum + run.groups[group].compared, 0),
  });
  // Exactly the groups as keys, which fromEntries cannot express.
  const shares = Object.fromEntries(groups.map((group) => [group, share(group)])) as Record<Group, Share>;
  return { release, mode, runs: runs.length, shares };
}
