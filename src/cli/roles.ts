// SPDX-License-Identifier: GPL-2.0-only
import { answerRoleRow, parseRoleRow } from '../conform/role-row.ts';
import type { Era } from '../era.ts';
import { UserError } from '../errors.ts';
import { resolvePort } from '../replay/every-port.ts';
import { answerLines } from './batch.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';

/** `mmu-eras roles`: what a kernel's role code computes from registers, one JSON object a line. */
export const rolesCommand: Command = {
  usage: 'roles [file]',
  build: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        default: '-',
        describe: 'rows, one JSON object a line; - reads standard input',
      })
      .option('batch', { type: 'boolean', default: true, describe: 'row after row, in order' })
      .epilogue(
        [
          'A row has the input columns of a vector row (docs/vectors.md), "host" as an object, and "era".',
          'Eras before 2022 have several sections; a row names its "section", "init" by default.',
          'Prints each row with the output columns filled in, one a line.',
        ].join('\n'),
      ),
  run: async (args) => {
    const ports = new Map<string, Era>();
    await answerLines(String(args.file), (line, place) => {
      const row = parseRoleRow(line, place);
      let port = ports.get(row.era);
      if (!port) {
        port = atPlace(place, () => resolvePort(row.era));
        ports.set(row.era, port);
      }
      return JSON.stringify(answerRoleRow(row, port, place));
    });
    return exit.ok;
  },
};

/** Lets a UserError say where the name it is about stands. */
function atPlace<T>(place: string, resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError({ ...error.mistake, place: `${place}: ${error.mistake.place}` });
  }
}
