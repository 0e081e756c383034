// SPDX-License-Identifier: GPL-2.0-only
import { createReadStream } from 'node:fs';
import { UserError } from '../errors.ts';

/** Bytes of one line; the longest record of a vector file is below 4 KiB. */
const LONGEST_LINE = 1 << 20;

/**
 * Answers a file (`-` is standard input) line by line: what `answer` returns for a line is printed as one line before the
 * next is read. Blank lines are skipped. `place` is the file and line, for messages. UserError: a file that cannot be read,
 * a line that is too long or no UTF-8.
 */
export async function answerLines(file: string, answer: (line: string, place: string) => string): Promise<void> {
  const input: AsyncIterable<Buffer> = file === '-' ? process.stdin : createReadStream(file);
  const name = file === '-' ? 'stdin' : file;
  let number = 0;
  try {
    for await (const bytes of linesOf(input, () => `${name}:${number + 1}`)) {
      const place = `${name}:${++number}`;
      const line = decode(bytes, place);
      if (line.trim() === '') continue;
      if (!process.stdout.write(`${answer(line, place)}\n`))
        await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new UserError({ place: file, found: 'no file that can be read', expected: 'a file, or - for stdin' });
  }
}

/** The lines of a stream as bytes, without their ends; never more than one line is held. */
async function* linesOf(input: AsyncIterable<Buffer>, place: () => string): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let length = 0;
  for await (const chunk of input) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield Buffer.concat([...pending, chunk.subarray(from, end)]);
      pending = [];
      length = 0;
      from = end + 1;
    }
    length += chunk.length - from;
    if (length > LONGEST_LINE) {
      throw new UserError({
        place: place(),
        found: `a line of more than ${LONGEST_LINE} bytes`,
        expected: 'one JSON object a line',
      });
    }
    pending.push(chunk.subarray(from));
  }
  if (length > 0) yield Buffer.concat(pending);
}

function decode(bytes: Buffer, place: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError({ place, found: 'bytes that are not UTF-8', expected: 'one JSON object a line' });
  }
}
