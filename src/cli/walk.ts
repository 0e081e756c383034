// SPDX-License-Identifier: GPL-2.0-only
import { parseWalkRecord } from '../conform/walk-record.ts';
import { answeredRecord, WalkRunner } from '../conform/walk-run.ts';
import { answerLines } from './batch.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';

/** `mmu-eras walk`: hardware page walks, one JSON record a line. */
export const walkCommand: Command = {
  usage: 'walk [file]',
  build: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        default: '-',
        describe: 'walk records, one JSON object a line; - reads standard input',
      })
      .option('batch', { type: 'boolean', default: true, describe: 'record after record, in order' })
      .epilogue('Prints each record with "after" in its entries and "result" filled in, one a line.'),
  run: async (args) => {
    const runner = new WalkRunner();
    await answerLines(String(args.file), (line, place) => {
      const record = parseWalkRecord(line, place);
      return JSON.stringify(answeredRecord(record, runner.run(record)));
    });
    return exit.ok;
  },
};
