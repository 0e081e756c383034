// SPDX-License-Identifier: GPL-2.0-only
import { parseArgs } from 'node:util';
import { eras } from '../../snapshots/all.ts';
import { nearest, UserError } from '../../src/errors.ts';
import { benchWorkloads } from './workloads.ts';

/** What `npm run bench -- …` was asked for. */
export interface BenchOptions {
  readonly runs: number;
  readonly scale: number;
  readonly only: readonly string[];
  readonly format: 'text' | 'json';
  readonly era: string;
  /** Write docs/performance.md anew. */
  readonly write: boolean;
  /** Write the C program's counters that the test compares with, and measure nothing. */
  readonly record: boolean;
}

/** Scale of the counters in the repository. */
export const RECORDED_SCALE = 0.01;

/** Shadow tables are filled by the port of this era unless another is asked for. */
const DEFAULT_ERA = 'cpu-role';

export const usage = `npm run bench -- [--runs N] [--scale F] [--only NAME,NAME] [--era ID] [--format text|json] [--write] [--record]

  --runs    repetitions of each, C and product in turn (default 5)
  --scale   length of the traces; address spaces stay as they are (default 1)
  --only    these workloads (default: all, and the whole replays)
  --era     the port that fills shadow tables (default ${DEFAULT_ERA})
  --write   write docs/performance.md
  --record  write the C program's counters at scale ${RECORDED_SCALE} for the tests, and stop`;

/** Parses the command line. UserError for what it does not know. */
export function benchOptions(args: readonly string[]): BenchOptions {
  const { values } = parse(args);
  const only = (values.only ?? '').split(',').filter((name) => name !== '');
  const names = benchWorkloads.map(({ name }) => name);
  for (const name of only) known('--only', name, names);
  const format = values.format ?? 'text';
  known('--format', format, ['text', 'json']);
  const era = values.era ?? DEFAULT_ERA;
  known(
    '--era',
    era,
    eras.map(({ id }) => id),
  );
  return {
    runs: numberOf('--runs', values.runs ?? '5', (n) => Number.isInteger(n) && n >= 1 && n <= 99),
    scale: numberOf('--scale', values.scale ?? '1', (n) => n > 0 && n <= 100),
    only,
    format: format as BenchOptions['format'],
    era,
    write: values.write ?? false,
    record: values.record ?? false,
  };
}

function parse(args: readonly string[]) {
  const string = { type: 'string' } as const;
  const boolean = { type: 'boolean' } as const;
  const options = {
    runs: string,
    scale: string,
    only: string,
    format: string,
    era: string,
    write: boolean,
    record: boolean,
  };
  try {
    return parseArgs({ args: [...args], options });
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new UserError({ place: 'bench', found, expected: `\n${usage}` });
  }
}

function known(place: string, found: string, names: readonly string[]): void {
  if (names.includes(found)) return;
  const suggestion = nearest(found, [...names]);
  throw new UserError({ place, found, expected: names.join(' '), ...(suggestion ? { suggestion } : {}) });
}

function numberOf(place: string, found: string, accepts: (value: number) => boolean): number {
  const value = Number(found);
  if (found.trim() !== '' && accepts(value)) return value;
  throw new UserError({ place, found, expected: place === '--runs' ? '1 to 99' : 'a number above 0, at most 100' });
}
