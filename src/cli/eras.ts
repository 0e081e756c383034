// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { anchorOf, type EraRecord, loadFacts, statusOf } from '../facts/index.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson, rowsAsCsv, type Sheet, sheetsAsMarkdown, sheetsAsText } from './facts/sheet.ts';
import type { Output } from './terminal.ts';

const head = ['era', 'anchor', 'date', 'releases', 'status', 'summary'];

/** `mmu-eras eras`: every era with its commit, date, releases and status. */
export const erasCommand: Command = {
  usage: 'eras',
  build: (yargs: Argv) => withFormat(yargs, ['text', 'json', 'csv', 'md']),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const { eras } = loadFacts();
    const sheet: Sheet = { title: '', head, rows: eras.map(eraCells) };
    process.stdout.write(
      args.format === 'json'
        ? asJson({ eras })
        : args.format === 'csv'
          ? rowsAsCsv(sheet.head, sheet.rows)
          : args.format === 'md'
            ? sheetsAsMarkdown([sheet])
            : erasAsText(sheet, standardOutput()),
    );
    return exit.ok;
  },
};

const erasAsText = (sheet: Sheet, output: Output): string => linked(sheetsAsText([sheet], output), output, []);

const eraCells = (era: EraRecord): string[] => [
  era.id,
  anchorOf(era),
  era.date ?? '',
  era.releases.join(' '),
  statusOf(era),
  era.summary,
];
