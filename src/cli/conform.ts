// SPDX-License-Identifier: GPL-2.0-only
import type { FileResult } from '../conform/result.ts';
import { conformFile } from '../conform/run.ts';
import { findPort } from '../replay/every-port.ts';
import { conformJson, conformText } from '../report/conform.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { type ProgressForm, progressOf, withProgress } from './progress.ts';

export const conformCommand: Command = {
  usage: 'conform <files..>',
  build: (yargs) =>
    withProgress(yargs)
      .positional('files', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'vector files, .json or .jsonl, gzipped or not',
      })
      .option('format', { choices: ['text', 'json'] as const, default: 'text', describe: 'form of the output' }),
  async run({ files, format, progress: form }) {
    const progress = progressOf('conform', form as ProgressForm);
    progress.start((files as string[]).length);
    const results: FileResult[] = [];
    try {
      for (const file of files as string[]) {
        results.push(conformFile(file, findPort));
        progress.step(file);
      }
    } finally {
      progress.end();
    }
    process.stdout.write(format === 'json' ? conformJson(results) : conformText(results));
    return results.some(({ sections }) => sections.some(({ failed }) => failed > 0)) ? exit.differs : exit.ok;
  },
};
