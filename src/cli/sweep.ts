// SPDX-License-Identifier: GPL-2.0-only

import { runCell } from '../sweep/cell.ts';
import { cellText } from '../sweep/header.ts';
import { planLines, sweepLines } from '../sweep/output.ts';
import { planSweep } from '../sweep/plan.ts';
import { runSweep, type SweepState, unfinishedText } from '../sweep/run.ts';
import { parseShard } from '../sweep/shard.ts';
import { CellStore } from '../sweep/store.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { interruptible } from './interrupt.ts';
import { writeOutput } from './output-file.ts';
import { type ProgressForm, progressOf, withProgress } from './progress.ts';
import { openRunner, withWorkers, workersOf } from './workers.ts';

/** `mmu-eras sweep`: a matrix of replays, as JSON lines. */
export const sweepCommand: Command = {
  usage: 'sweep <file>',
  build: (yargs) =>
    withProgress(withWorkers(yargs))
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'description in YAML or JSON: docs/sweep.md',
      })
      .option('output', { alias: 'o', type: 'string', requiresArg: true, describe: 'file instead of standard output' })
      .option('shard', {
        type: 'string',
        default: '1/1',
        requiresArg: true,
        describe: 'i/n: every n-th cell, from the i-th',
      })
      .option('store', {
        type: 'string',
        requiresArg: true,
        describe: 'folder of finished cells (default: FILE.cells)',
      })
      .option('plan', { type: 'boolean', default: false, describe: 'list the cells and run none' })
      .example('mmu-eras sweep tlb.yaml -o tlb.jsonl', 'the whole matrix')
      .example('mmu-eras sweep tlb.yaml --shard 2/8 -o part-2.jsonl', 'one part of eight, on any machine')
      .epilogue('mmu-eras sweep merge joins shards.'),
  async run(args) {
    const file = String(args.file);
    const shard = parseShard(String(args.shard));
    const workers = workersOf(args.workers);
    const plan = await planSweep(file);
    const store = new CellStore(String(args.store ?? `${file}.cells`));
    const output = args.output as string | undefined;
    if (args.plan === true) {
      await writeOutput(output, planLines(plan.header, shard, store));
      return exit.ok;
    }
    const progress = progressOf('sweep', args.progress as ProgressForm);
    const interrupt = interruptible();
    let state: SweepState;
    try {
      state = await runSweep(plan, {
        shard,
        store,
        openRunner: (tasks) => openRunner({ name: 'cell', perform: runCell }, workers, tasks),
        signal: interrupt.signal,
        onStart: (finished, cells) => progress.start(cells, finished),
        onCell: (cell) => progress.step(cellText(cell)),
      });
    } finally {
      progress.end();
      interrupt.release();
    }
    if (state.finished < state.cells) {
      const code = interrupt.code();
      process.stderr.write(unfinishedText(state, { file, folder: store.folder, interrupted: code !== null }));
      return code ?? exit.failed;
    }
    await writeOutput(output, sweepLines(plan.header, shard, store));
    return exit.ok;
  },
};
