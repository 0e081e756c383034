// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, rounded } from './measure.ts';

/** Events of the trace that is replayed: a twod-wp. */
const EVENTS = 10_000;

/** One command, in milliseconds of elapsed time from the start of its process to its end. */
export interface MeasuredStart {
  readonly command: string;
  readonly median_ms: number;
  readonly min_ms: number;
  readonly max_ms: number;
  /** Over `node -e 0` of the same run: medians, and the least of both, which other work on the machine delays least. */
  readonly ratio: number;
  readonly min_ratio: number;
  /** The largest ratio that is aimed at; absent for node itself. */
  readonly goal?: number;
}

export interface MeasuredStarts {
  readonly node: string;
  readonly runs: number;
  readonly commands: readonly MeasuredStart[];
}

interface Contestant {
  readonly command: string;
  readonly args: readonly string[];
  readonly goal?: number;
  readonly times: number[];
}

/** Starts `node -e 0` and the built command line in turn. Throws when a command fails or prints not the same each time. */
export function measureStart(root: string, runs: number): MeasuredStarts {
  const main = join(root, 'bin', 'mmu-eras.mjs');
  const folder = mkdtempSync(join(tmpdir(), 'mmu-eras-start-'));
  try {
    const trace = join(folder, 'twod-wp.mmut');
    output([main, 'gen', 'twod-wp', '--events', String(EVENTS), '-o', trace]);
    const of = (command: string, goal: number, file = command): Contestant => ({
      command,
      args: [main, ...file.split(' ').map((word) => (word === 'TRACE' ? trace : word))],
      goal,
      times: [],
    });
    const contestants: Contestant[] = [
      { command: 'node -e 0', args: ['-e', '0'], times: [] },
      of('--version', 1.2),
      of('--help', 1.2),
      of('decode 0x1234 --era v6.1', 1.7),
      of(`replay (${EVENTS} events) --era cr0wp`, 2.5, 'replay TRACE --era cr0wp'),
      of(`replay (${EVENTS} events) --era cpu-role`, 2.5, 'replay TRACE --era cpu-role'),
    ];
    const expected = contestants.map(({ args }) => output(args));
    for (let run = 0; run < runs; run++) {
      for (const [i, { args, times, command }] of contestants.entries()) {
        const before = performance.now();
        const printed = output(args);
        times.push(performance.now() - before);
        if (printed !== expected[i]) throw new Error(`bench start: ${command} has not always the same output`);
      }
    }
    const [node] = contestants;
    return { node: process.versions.node, runs, commands: contestants.map((each) => resultOf(each, node!.times)) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function output(args: readonly string[]): string {
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`bench start: ${args.join(' ')} ended with ${status}`);
  return stdout;
}

function resultOf({ command, goal, times }: Contestant, node: readonly number[]): MeasuredStart {
  const [middle, least] = [median(times), Math.min(...times)];
  return {
    command,
    median_ms: rounded(middle),
    min_ms: rounded(least),
    max_ms: rounded(Math.max(...times)),
    ratio: rounded(middle / median(node)),
    min_ratio: rounded(least / Math.min(...node)),
    ...(goal === undefined ? {} : { goal }),
  };
}

/** As text for a terminal. */
export function startText({ node, runs, commands }: MeasuredStarts): string {
  const head = ['median ms', 'min', 'max', 'ratio', 'of mins', 'goal'];
  const width = Math.max(...commands.map(({ command }) => command.length)) + 2;
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)}${cells.map((cell) => cell.padStart(10)).join('')}`.trimEnd();
  const rows = commands.map(({ command, median_ms, min_ms, max_ms, ratio, min_ratio, goal }) =>
    line(command, [
      ...[median_ms, min_ms, max_ms].map((ms) => ms.toFixed(1)),
      ratio.toFixed(2),
      min_ratio.toFixed(2),
      goal?.toFixed(1) ?? '',
    ]),
  );
  return [`Node ${node}; ${runs} processes of each, in turn`, '', line('', head), ...rows, ''].join('\n');
}
