// SPDX-License-Identifier: GPL-2.0-only
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseWalkRecord } from '../conform/walk-record.ts';
import { answeredRecord, WalkRunner } from '../conform/walk-run.ts';
import { UserError } from '../errors.ts';
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
    const file = String(args.file);
    const runner = new WalkRunner();
    const input = file === '-' ? process.stdin : createReadStream(file, 'utf8').on('error', () => {});
    let number = 0;
    try {
      for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
        number++;
        if (line.trim() === '') continue;
        const record = parseWalkRecord(line, `${file === '-' ? 'stdin' : file}:${number}`);
        const text = `${JSON.stringify(answeredRecord(record, runner.run(record)))}\n`;
        if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
      }
    } catch (error) {
      throw isFileError(error) ? unreadable(file) : error;
    }
    return exit.ok;
  },
};

const isFileError = (error: unknown): boolean => error instanceof Error && 'syscall' in error;

const unreadable = (file: string): UserError =>
  new UserError({ place: file, found: 'no file that can be read', expected: 'a file of walk records, or - for stdin' });
