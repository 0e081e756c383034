// SPDX-License-Identifier: GPL-2.0-only
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { UserError } from '../errors.ts';

/**
 * Answers a file (`-` is standard input) line by line: what `answer` returns for a line is printed as one line before the
 * next is read. Blank lines are skipped. `place` is the file and line, for messages.
 */
export async function answerLines(file: string, answer: (line: string, place: string) => string): Promise<void> {
  const input = file === '-' ? process.stdin : createReadStream(file, 'utf8').on('error', () => {});
  const name = file === '-' ? 'stdin' : file;
  let number = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      number++;
      if (line.trim() === '') continue;
      const text = `${answer(line, `${name}:${number}`)}\n`;
      if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new UserError({ place: file, found: 'no file that can be read', expected: 'a file, or - for stdin' });
  }
}
