// SPDX-License-Identifier: GPL-2.0-only
import type { Argv } from 'yargs';
import { type Output, outputOf } from '../terminal.ts';

/** Adds `--format` with the given choices, text first. */
export function withFormat(yargs: Argv, choices: readonly string[]): Argv {
  return yargs.option('format', { type: 'string', choices, default: 'text', describe: 'how to print it' });
}

/** Output of this process. */
export const standardOutput = (): Output => outputOf(process.stdout, process.env);
