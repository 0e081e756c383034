// SPDX-License-Identifier: GPL-2.0-only
import { conformFile } from '../conform/run.ts';
import { findPort } from '../replay/ports.ts';
import { conformJson, conformText } from '../report/conform.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';

export const conformCommand: Command = {
  usage: 'conform <files..>',
  build: (yargs) =>
    yargs
      .positional('files', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'vector files, .json or .jsonl, gzipped or not',
      })
      .option('format', { choices: ['text', 'json'] as const, default: 'text', describe: 'form of the output' }),
  async run({ files, format }) {
    const results = (files as string[]).map((file) => conformFile(file, findPort));
    process.stdout.write(format === 'json' ? conformJson(results) : conformText(results));
    return results.some(({ sections }) => sections.some(({ failed }) => failed > 0)) ? exit.differs : exit.ok;
  },
};
