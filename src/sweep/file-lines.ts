// SPDX-License-Identifier: GPL-2.0-only
import { closeSync, openSync, readSync } from 'node:fs';
import { UserError } from '../errors.ts';

/** Bytes of a file, without reading them. */
export interface Piece {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** One line of a file, and where it stands. `piece` holds the line with its end. */
export interface FileLine {
  readonly text: string;
  readonly place: string;
  readonly piece: Piece;
}

const CHUNK = 1 << 18;
/** A cell's line has some thousand bytes. */
const LONGEST_LINE = 1 << 24;
const NEWLINE = 10;

/** The lines of a file that end with a newline; UserError when the last one does not, or the file cannot be read. */
export function* linesOf(file: string): Generator<FileLine> {
  const handle = open(file);
  try {
    let pending = Buffer.alloc(0);
    let offset = 0;
    let number = 0;
    const chunk = Buffer.allocUnsafe(CHUNK);
    for (;;) {
      const bytes = read(handle, chunk, file);
      if (bytes === 0) break;
      const data = Buffer.concat([pending, chunk.subarray(0, bytes)]);
      let from = 0;
      for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, from)) {
        const length = end + 1 - from;
        yield { text: data.toString('utf8', from, end), place: `${file}:${++number}`, piece: { file, offset, length } };
        offset += length;
        from = end + 1;
      }
      pending = data.subarray(from);
      if (pending.length > LONGEST_LINE) {
        throw new UserError({ place: `${file}:${number + 1}`, found: 'a line without end', expected: 'JSON lines' });
      }
    }
    if (pending.length > 0) {
      const found = 'a last line without its end: the file was cut';
      throw new UserError({
        place: `${file}:${number + 1}`,
        found,
        expected: 'a whole file',
        suggestion: 'the shard again',
      });
    }
  } finally {
    closeSync(handle);
  }
}

/** The text of pieces, in their order. */
export function* textOf(pieces: Iterable<Piece>): Generator<string> {
  const handles = new Map<string, number>();
  try {
    for (const { file, offset, length } of pieces) {
      let handle = handles.get(file);
      if (handle === undefined) {
        handle = open(file);
        handles.set(file, handle);
      }
      const bytes = Buffer.alloc(length);
      if (readSync(handle, bytes, 0, length, offset) !== length) {
        throw new UserError({
          place: file,
          found: 'a file that became shorter',
          expected: 'files that stay as they are',
        });
      }
      yield bytes.toString('utf8');
    }
  } finally {
    for (const handle of handles.values()) closeSync(handle);
  }
}

function open(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    throw unreadable(file, error);
  }
}

function read(handle: number, chunk: Buffer, file: string): number {
  try {
    return readSync(handle, chunk);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const found = code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`;
  return new UserError({ place: file, found, expected: 'a file that mmu-eras sweep wrote' });
}
