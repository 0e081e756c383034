// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type EraRecord, loadFacts } from '../facts/index.ts';
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

/** The revision as short as it stays clear: 12 digits of a sha, with ^ for its parent, or a tag. */
export const anchorOf = ({ revision }: EraRecord): string =>
  revision === null ? '' : revision.replace(/^([0-9a-f]{12})[0-9a-f]{28}/, '$1');

/** The status in words that leave no doubt about an era that never was a kernel. */
export const statusOf = ({ status }: EraRecord): string =>
  status === 'proposed' ? 'proposed, never merged' : 'merged';
