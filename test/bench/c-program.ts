// SPDX-License-Identifier: GPL-2.0-only
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../../src/errors.ts';
import { type BenchCounters, counterNames } from './counters.ts';
import type { Rules } from './kernel-rules.ts';

/** One run of one workload by the C program. */
export interface CRun {
  /** Million events a second of CPU time. */
  readonly speed: number;
  readonly counters: BenchCounters;
}

/** Compiles test/bench/pagewalk.c of the project at `root` into a new temporary folder. UserError without a compiler. */
export function compileC(root: string): CProgram {
  const source = join(root, 'test', 'bench', 'pagewalk.c');
  const path = join(mkdtempSync(join(tmpdir(), 'mmu-eras-bench-')), 'pagewalk');
  const { error, status, stderr } = spawnSync('cc', ['-O2', '-o', path, source], { encoding: 'utf8' });
  if (error === undefined && status === 0) return new CProgram(path);
  throw new UserError({
    place: 'cc -O2 test/bench/pagewalk.c',
    found: error ? 'no C compiler' : `a compiler that failed: ${stderr.split('\n')[0]}`,
    expected: 'a C compiler named cc, as the benchmark compares with C in the same run',
  });
}

/** The C program, compiled. */
export class CProgram {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  run(workload: string, scale: number, rules: Rules = 'plain'): CRun {
    const options = [...argumentsFor(workload, scale, 1), ...(rules === 'kvm' ? ['--kvm'] : [])];
    return parse(execFileSync(this.path, options, { encoding: 'utf8' }));
  }

  /** Runs so many processes at once; the speed of each. */
  async together(workload: string, scale: number, processes: number): Promise<number[]> {
    const runs = Array.from({ length: processes }, () =>
      promisify(execFile)(this.path, argumentsFor(workload, scale, 3), { encoding: 'utf8' }),
    );
    return (await Promise.all(runs)).map(({ stdout }) => parseWall(stdout));
  }
}

const argumentsFor = (workload: string, scale: number, runs: number): string[] => [
  '--json',
  '--runs',
  String(runs),
  '--scale',
  String(scale),
  '--only',
  workload,
];

/** The fields of a line that the C program prints with --json. */
type Line = Readonly<Record<keyof BenchCounters | 'mev_s' | 'cpu_mev_s', number>>;

function parse(line: string): CRun {
  const fields = JSON.parse(line) as Line; // our own program prints it
  const counters = Object.fromEntries(counterNames.map((name) => [name, fields[name]]));
  return { speed: fields.cpu_mev_s, counters: counters as Record<keyof BenchCounters, number> };
}

/** What another process costs shows in elapsed time. */
const parseWall = (line: string): number => (JSON.parse(line) as Line).mev_s;
