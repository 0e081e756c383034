// SPDX-License-Identifier: GPL-2.0-only
import { errorAt, type Slip } from './mistakes.ts';

/** Bytes of a line that is still taken for a workload's. */
export const MAX_LINE = 65536;

/** A word of a line and the 1-based column it begins at. */
export interface Word {
  readonly text: string;
  readonly column: number;
}

/** The words before `#`. */
export function wordsOf(line: string): Word[] {
  const comment = line.indexOf('#');
  const code = comment < 0 ? line : line.slice(0, comment);
  return Array.from(code.matchAll(/[^ \t\r\f\v]+/g), (match) => ({ text: match[0], column: match.index + 1 }));
}

/** What a line over MAX_LINE is told. */
export const tooLong: Slip = {
  found: `line is longer than ${MAX_LINE} bytes`,
  expected: 'a text file with one op a line',
};

/** Refuses what no line of a workload holds: NUL, and more than MAX_LINE characters. */
export function checkLine(file: string, line: number, text: string): void {
  if (text.length > MAX_LINE) throw errorAt({ file, line, column: MAX_LINE + 1, text: '' }, tooLong);
  const nul = text.indexOf('\0');
  if (nul >= 0) {
    const place = { file, line, column: nul + 1, text: text.replaceAll('\0', '?') };
    throw errorAt(place, { found: 'a NUL byte', expected: 'a text file with one op a line' });
  }
}
