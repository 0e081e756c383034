// SPDX-License-Identifier: GPL-2.0-only
import type { Command } from './commands.ts';
import { partsOf } from './diff/parts.ts';
import { partsAsText } from './diff/text.ts';
import { exit } from './exit.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { page } from './pager.ts';
import { sourceArguments, usingSource, withSource } from './source-options.ts';

/** `mmu-eras diff`: what a commit or release changed upstream, and what one port changed from another. */
export const diffCommand: Command = {
  usage: 'diff <what> [other]',
  build: (yargs) =>
    withFormat(
      withSource(
        yargs
          .positional('what', { type: 'string', demandOption: true, describe: 'an era, a release, or any commit' })
          .positional('other', { type: 'string', describe: 'a second era: the diff of the two ports' }),
      )
        .option('upstream', {
          type: 'boolean',
          default: false,
          describe: "with two eras: the kernel's diff, not the ports'",
        })
        .option('path', {
          type: 'string',
          array: true,
          requiresArg: true,
          default: [],
          describe: 'only these files or folders (of the kernel, or calc.ts … of the ports)',
        })
        .option('function', {
          type: 'string',
          requiresArg: true,
          describe: 'only this function, macro, union or struct',
        })
        .option('stat', { type: 'boolean', describe: 'lines added and removed in each file' })
        .option('word', { type: 'boolean', describe: 'word by word' })
        .option('citations', {
          type: 'boolean',
          default: false,
          describe: 'of ports, also the lines that differ only in the kernel they cite',
        })
        .conflicts('stat', 'word'),
      ['text', 'html'],
    )
      .example('mmu-eras diff cpu-role --repo ~/linux', 'the commit, from your clone')
      .example('mmu-eras diff v5.17 v5.19 --function kvm_init_mmu', 'one function in two ports; needs no clone')
      .example(
        'mmu-eras diff cpu-role --repo ~/linux --format html',
        'the commit and the step of the ports side by side',
      ),
  async run(args) {
    const asPage = args.format === 'html';
    return await usingSource(sourceArguments(args), async (source) => {
      const { parts, code, note } = await partsOf(source, {
        what: String(args.what),
        other: args.other as string | undefined,
        at: sourceArguments(args).at,
        upstream: args.upstream === true,
        both: asPage,
        choice: {
          paths: args.path as readonly string[],
          definition: args.function as string | undefined,
          citations: args.citations === true,
        },
      });
      if (note !== '') process.stderr.write(`${note}\n`);
      const view = args.stat ? 'stat' : args.word ? 'word' : 'patch';
      if (!asPage) await page(partsAsText(parts, view, standardOutput()));
      else process.stdout.write((await import('../upstream/page.ts')).diffPage(parts, { word: args.word === true }));
      return exit[code];
    });
  },
};
