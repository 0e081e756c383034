// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { FusedOptions } from './fused-options.ts';
import { median, rounded } from './measure.ts';

/** What fused-worker.ts prints of one process. */
export interface FusedRun {
  /** Milliseconds of CPU time. */
  readonly ms: number;
  /** How many CPUs performed accesses at the end. */
  readonly groups: number;
  /** By era, in their order: hash of its record as JSON. */
  readonly records: readonly string[];
}

/** Milliseconds of CPU time: median, least, most. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface MeasuredFused {
  readonly eras: readonly string[];
  readonly kind: string;
  readonly events: number;
  readonly runs: number;
  /** CPUs that performed accesses at the end of the fused replay. */
  readonly groups: number;
  /** One era alone: of the medians of each era, the median, the least and the most. */
  readonly one_ms: Spread;
  readonly by_era_ms: Readonly<Record<string, number>>;
  /** All of them one after the other in one process; together. */
  readonly separate_ms: Spread;
  readonly fused_ms: Spread;
  /** Fused over one, over the sum of all alone, and over all one after the other. */
  readonly fused_to_one: number;
  readonly fused_to_sum: number;
  readonly fused_to_separate: number;
}

/**
 * Takes turns: each era alone, all of them separately, all of them fused, each in a process of its own after two replays
 * that are not timed. Throws when a record is not the same everywhere, byte for byte.
 */
export function measureFused({ eras, kind, events, runs }: FusedOptions): MeasuredFused {
  const run = (how: 'separate' | 'fused', of: readonly string[]) => inWorker([kind, String(events), how, of.join()]);
  const distinct = [...new Set(eras)];
  const alone = new Map(distinct.map((era) => [era, [] as number[]]));
  const separate: number[] = [];
  const fused: number[] = [];
  const known = new Map<string, string>();
  let groups = 0;
  for (let i = 0; i < runs; i++) {
    for (const era of distinct) {
      const single = run('separate', [era]);
      agree(known, [era], single);
      alone.get(era)!.push(single.ms);
    }
    const one = run('separate', eras);
    agree(known, eras, one);
    separate.push(one.ms);
    const all = run('fused', eras);
    agree(known, eras, all);
    fused.push(all.ms);
    groups = all.groups;
  }
  const byEra = Object.fromEntries(distinct.map((era) => [era, rounded(median(alone.get(era)!))]));
  const medians = eras.map((era) => byEra[era]!);
  const sum = medians.reduce((total, ms) => total + ms, 0);
  const together = median(fused);
  return {
    eras,
    kind,
    events,
    runs,
    groups,
    one_ms: spread(medians),
    by_era_ms: byEra,
    separate_ms: spread(separate),
    fused_ms: spread(fused),
    fused_to_one: rounded(together / median(medians)),
    fused_to_sum: rounded(together / sum),
    fused_to_separate: rounded(together / median(separate)),
  };
}

function inWorker(parameters: readonly string[]): FusedRun {
  const script = fileURLToPath(new URL('fused-worker.js', import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [script, ...parameters], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`bench fused: ${parameters.join(' ')} ended with ${status}`);
  return JSON.parse(stdout) as FusedRun; // what fused-worker.ts prints
}

/** The first record of an era is the one that all others of it must equal. */
function agree(known: Map<string, string>, eras: readonly string[], { records }: FusedRun): void {
  if (records.length !== eras.length) throw new Error(`bench fused: ${records.length} records of ${eras.length} eras`);
  for (const [i, era] of eras.entries()) {
    const expected = known.get(era) ?? records[i]!;
    known.set(era, expected);
    if (records[i] !== expected) throw new Error(`bench fused: ${era} has not always the same record`);
  }
}

const spread = (values: readonly number[]): Spread => ({
  median: rounded(median(values)),
  min: rounded(Math.min(...values)),
  max: rounded(Math.max(...values)),
});

/** As text for a terminal. */
export function fusedText(measured: MeasuredFused): string {
  const { eras, kind, events, runs, groups, one_ms, separate_ms, fused_ms } = measured;
  const row = (name: string, { median: middle, min, max }: Spread) =>
    `${name.padEnd(22)}${[middle, min, max].map((ms) => ms.toFixed(1).padStart(10)).join('')}`;
  const number = String(eras.length);
  return [
    `twod-wp, ${events} events, ${kind}; ${runs} runs; ${number} eras in ${groups} ${groups === 1 ? 'group' : 'groups'}: ${eras.join(' ')}`,
    '',
    `${'ms of CPU time'.padEnd(22)}${['median', 'min', 'max'].map((name) => name.padStart(10)).join('')}`,
    row('one era alone', one_ms),
    row(`${number} eras separately`, separate_ms),
    row(`${number} eras fused`, fused_ms),
    '',
    `fused / one era         ${measured.fused_to_one.toFixed(2)}`,
    `fused / sum of eras     ${measured.fused_to_sum.toFixed(2)}`,
    `fused / separately      ${measured.fused_to_separate.toFixed(2)}`,
    'records equal',
    '',
  ].join('\n');
}
