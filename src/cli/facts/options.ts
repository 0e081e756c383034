// SPDX-License-Identifier: GPL-2.0-only
import { createSupportsHyperlinks } from 'supports-hyperlinks';
import type { Argv } from 'yargs';
import { type Output, outputOf } from '../terminal.ts';

/** Adds `--format` with the given choices, text first. */
export function withFormat(yargs: Argv, choices: readonly string[]): Argv {
  return yargs.option('format', { type: 'string', choices, default: 'text', describe: 'how to print it' });
}

/** Output of this process. FORCE_HYPERLINK=1 speaks for a terminal that is not known to have hyperlinks. */
export const standardOutput = (): Output =>
  outputOf(process.stdout, process.env, createSupportsHyperlinks(process.stdout));
