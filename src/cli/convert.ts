// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { convertFile } from '../trace/convert/convert.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { type ProgressForm, progressOf, withProgress } from './progress.ts';

/** `mmu-eras convert`: workloads and traces from one form into another. */
export const convertCommand: Command = {
  usage: 'convert <input> <output>',
  build: (yargs) =>
    withProgress(yargs)
      .positional('input', {
        type: 'string',
        demandOption: true,
        describe: '.mmut, .ops or .jsonl file, bundled name, or gen:name?option=value',
      })
      .positional('output', { type: 'string', demandOption: true, describe: 'file in .mmut, .ops or .jsonl' })
      .option('lossy', { type: 'boolean', default: false, describe: 'leave out what the output cannot say' })
      .option('salvage', { type: 'boolean', default: false, describe: 'take what is whole of a damaged .mmut file' })
      .option('from', { type: 'string', requiresArg: true, describe: 'number of the first event to take of a trace' })
      .option('count', { type: 'string', requiresArg: true, describe: 'how many events to take' })
      .example('mmu-eras convert wp-toggle wp.mmut', 'a bundled workload as a trace')
      .example('mmu-eras convert big.mmut part.jsonl --from 5000000 --count 20', 'twenty events to read'),
  async run(args) {
    const progress = progressOf('convert', args.progress as ProgressForm);
    const notes = await convertFile(String(args.input), String(args.output), {
      lossy: args.lossy === true,
      salvage: args.salvage === true,
      from: whole('--from', args.from, 0),
      count: whole('--count', args.count, Number.POSITIVE_INFINITY),
      progress,
    }).finally(() => progress.end());
    for (const note of notes) process.stderr.write(`${note}\n`);
    return exit.ok;
  },
};

function whole(place: string, value: unknown, absent: number): number {
  if (value === undefined) return absent;
  if (/^[0-9]{1,15}$/.test(String(value))) return Number(value);
  throw new UserError({ place: `convert ${place}`, found: String(value), expected: 'a whole number' });
}
