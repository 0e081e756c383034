// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { UserError } from '../errors.ts';
import { layoutRecord, resolveEras } from '../facts/index.ts';
import { parseRoleWord } from '../facts/role-word.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { type DecodeTarget, decodeWords, decodingSheets, decodingsAsCsv } from './facts/decoding.ts';
import { linked } from './facts/linked.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson, sheetsAsMarkdown, sheetsAsText } from './facts/sheet.ts';

/** `mmu-eras decode`: a role word field by field, under the layout of one or several eras. */
export const decodeCommand: Command = {
  usage: 'decode <words..>',
  build: (yargs: Argv) =>
    withFormat(
      yargs
        .positional('words', { type: 'string', array: true, demandOption: true, describe: 'role words in hex' })
        .option('era', { type: 'string', describe: 'whose layout: an era, release, commit, range, list or all' })
        .option('layout', { type: 'string', describe: 'a layout by its id in `mmu-eras bits`, instead of an era' })
        .conflicts('era', 'layout'),
      ['text', 'json', 'csv', 'md'],
    ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const words = (args.words as readonly string[]).map((word) => parseRoleWord(String(word)));
    const decodings = decodeWords(words, targets(args.era as string | undefined, args.layout as string | undefined));
    process.stdout.write(
      args.format === 'json'
        ? asJson({ decodings })
        : args.format === 'csv'
          ? decodingsAsCsv(decodings)
          : args.format === 'md'
            ? sheetsAsMarkdown(decodingSheets(decodings))
            : linked(
                sheetsAsText(decodingSheets(decodings), standardOutput()),
                standardOutput(),
                decodings.flatMap(({ era }) => (era === null ? [] : [era])),
              ),
    );
    return exit.ok;
  },
};

function targets(era: string | undefined, layout: string | undefined): DecodeTarget[] {
  if (layout !== undefined) return [{ era: null, layout: layoutRecord(layout) }];
  if (era !== undefined) {
    return resolveEras(era).map((record) => ({ era: record.id, layout: layoutRecord(record.layout) }));
  }
  throw new UserError({
    place: 'decode',
    found: 'no era',
    expected: '--era with an era, release, commit, range, list or all, or --layout with a layout id',
    suggestion: '--era all',
  });
}
