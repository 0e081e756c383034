// SPDX-License-Identifier: GPL-2.0-only
/** `npm run bench`: the machine against the C program, workload by workload. Arguments: the project's folder, options. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../src/errors.ts';
import { type CProgram, compileC } from './c-program.ts';
import { rulesFor } from './kernel-rules.ts';
import { type Measured, median, rounded } from './measure.ts';
import { type BenchOptions, benchOptions, RECORDED_SCALE } from './options.ts';
import type { MeasuredReplay } from './replays.ts';
import { type BenchHost, type Control, markdownReport, textReport } from './report.ts';
import { benchWorkloads } from './workloads.ts';

/** The workload and scale of the control: long enough to see the other process, short enough to wait for. */
const CONTROL = { workload: 'walk-1g', scale: 0.25 } as const;

/** Marks around the tables in docs/performance.md. */
const BEGIN = '<!-- npm run bench -- --write -->';
const END = '<!-- end -->';

const [root = '.', ...args] = process.argv.slice(2);
try {
  process.exitCode = await main(benchOptions(args));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

async function main(options: BenchOptions): Promise<number> {
  const c = compileC(root);
  if (options.record) {
    record(c);
    return 0;
  }
  const { scale, runs, only } = options;
  const chosen = benchWorkloads.filter(({ name }) => only.length === 0 || only.includes(name));
  const workloads = chosen.map(({ name }) => {
    if (process.stderr.isTTY) console.error(name);
    return inWorker(c, options, name) as Measured; // what worker.ts prints
  });
  const control = await controlOf(c);
  const replays = only.length === 0 ? (inWorker(c, options, 'replays') as readonly MeasuredReplay[]) : [];
  const report = { host: hostOf(), scale, runs, workloads, control, replays };
  process.stdout.write(options.format === 'json' ? `${JSON.stringify(report, null, 2)}\n` : textReport(report));
  if (options.write) writeTables(markdownReport(report));
  return workloads.every(({ counters_equal, other_rules }) => counters_equal || other_rules) ? 0 : 1;
}

function inWorker(c: CProgram, { era, scale, runs }: BenchOptions, what: string): unknown {
  const script = fileURLToPath(new URL('worker.js', import.meta.url));
  const parameters = [root, c.path, era, String(scale), String(runs), what];
  const { status, stdout } = spawnSync(process.execPath, [script, ...parameters], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`bench: ${what} ended with ${status}`);
  return JSON.parse(stdout);
}

async function controlOf(c: CProgram): Promise<Control> {
  const { workload, scale } = CONTROL;
  const alone = median(await c.together(workload, scale, 1));
  const both = (await c.together(workload, scale, 2)).reduce((sum, speed) => sum + speed, 0);
  return { workload, alone_mev_s: rounded(alone), together_mev_s: rounded(both), speedup: rounded(both / alone) };
}

function hostOf(): BenchHost {
  const processors = cpus();
  const compiler = execFileSync('cc', ['--version'], { encoding: 'utf8' }).split('\n')[0]!;
  return { processor: processors[0]!.model, processors: processors.length, node: process.versions.node, compiler };
}

/** The C program's counters, for machines without a compiler. */
function record(c: CProgram): void {
  const counters = Object.fromEntries(
    benchWorkloads.map((workload) => [
      workload.name,
      c.run(workload.name, RECORDED_SCALE, rulesFor(workload)).counters,
    ]),
  );
  const path = join(root, 'test', 'bench', 'c-counters.json');
  writeFileSync(path, `${JSON.stringify({ scale: RECORDED_SCALE, counters }, null, 2)}\n`);
}

/** Replaces what stands between the two marks in docs/performance.md. */
function writeTables(tables: string): void {
  const path = join(root, 'docs', 'performance.md');
  const text = readFileSync(path, 'utf8');
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END);
  if (from < 0 || to < from) throw new Error(`docs/performance.md: no ${BEGIN} … ${END}`);
  writeFileSync(path, `${text.slice(0, from + BEGIN.length)}\n\n${tables}\n\n${text.slice(to)}`);
}
