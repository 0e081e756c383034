// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { bitMap, bitMapAsCsv, bitMapAsMarkdown, bitMapAsText } from './facts/bit-map.ts';
import { linked } from './facts/linked.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson } from './facts/sheet.ts';

/** `mmu-eras bits`: every role bit from 2007 to today, where it stood and which commit touched it. */
export const bitsCommand: Command = {
  usage: 'bits',
  build: (yargs: Argv) => withFormat(yargs, ['text', 'json', 'csv', 'md']),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const map = bitMap();
    const output = standardOutput();
    process.stdout.write(
      args.format === 'json'
        ? asJson(map)
        : args.format === 'csv'
          ? bitMapAsCsv(map)
          : args.format === 'md'
            ? bitMapAsMarkdown(map)
            : linked(bitMapAsText(map, output), output, []),
    );
    return exit.ok;
  },
};
