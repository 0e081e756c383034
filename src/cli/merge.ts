// SPDX-License-Identifier: GPL-2.0-only
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { writeOutput } from './output-file.ts';

/** `mmu-eras sweep merge`: the shards of a sweep as the whole. */
export const mergeCommand: Command = {
  usage: 'merge <files..>',
  build: (yargs) =>
    yargs
      .positional('files', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'what the shards wrote, in any order',
      })
      .option('output', { alias: 'o', type: 'string', requiresArg: true, describe: 'file instead of standard output' })
      .example('mmu-eras sweep merge part-*.jsonl -o all.jsonl', 'the bytes that one run would have written'),
  async run({ files, output }) {
    const [{ mergeShards }, { headerLine }, { textOf }] = await Promise.all([
      import('../sweep/merge.ts'),
      import('../sweep/output.ts'),
      import('../sweep/file-lines.ts'),
    ]);
    const { header, pieces } = mergeShards(files as string[]);
    const lines = function* () {
      yield headerLine(header, { index: 1, count: 1 });
      yield* textOf(pieces);
    };
    await writeOutput(output as string | undefined, lines());
    return exit.ok;
  },
};
