// SPDX-License-Identifier: GPL-2.0-only
import { closeSync, openSync, readSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { MAX_LINE, tooLong } from './lines.ts';
import { errorAt } from './mistakes.ts';
import type { Workload } from './ops.ts';
import { parseLines } from './parse.ts';

const CHUNK = 65536;
/** A hundred times what the guest's code could hold. */
const MAX_FILE = 16 * 2 ** 20;
const NEWLINE = 10;

/** A workload from an `.ops` file. Errors name the file as `path` does, or as `fileName`. */
export const readOpsFile = (path: string, fileName = path): Workload => parseLines(readLines(path, fileName), fileName);

/**
 * The lines of a UTF-8 text file without their ends. Reads piece by piece and stops at the first line over `limit`
 * bytes or outside UTF-8, or after 16 MiB, so that a file that is no workload costs neither its size in memory nor the time to read it.
 */
export function readLines(path: string, fileName = path, limit = MAX_LINE): string[] {
  const lines = new LineSplitter(fileName, limit);
  const chunk = Buffer.allocUnsafe(CHUNK);
  const file = open(path, fileName);
  let total = 0;
  try {
    for (;;) {
      const bytes = readSync(file, chunk, 0, CHUNK, null);
      if (bytes === 0) return lines.finish();
      total += bytes;
      if (total > MAX_FILE) {
        throw new UserError({ place: fileName, found: `more than ${MAX_FILE} bytes`, expected: 'a workload file' });
      }
      lines.take(chunk.subarray(0, bytes));
    }
  } catch (error) {
    if (isSystemError(error)) throw unreadable(fileName, error);
    throw error;
  } finally {
    closeSync(file);
  }
}

class LineSplitter {
  readonly #file: string;
  readonly #limit: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  readonly #lines: string[] = [];
  /** Pieces of the line whose end was not read yet. */
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(file: string, limit: number) {
    this.#file = file;
    this.#limit = limit;
  }

  take(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const piece = chunk.subarray(start, end < 0 ? chunk.length : end);
      this.#length += piece.length;
      if (this.#length > this.#limit) {
        const place = { file: this.#file, line: this.#lines.length + 1, column: this.#limit + 1, text: '' };
        throw errorAt(place, { ...tooLong, found: `line is longer than ${this.#limit} bytes` });
      }
      // The chunk's memory is used again for the next one.
      if (piece.length > 0) this.#pieces.push(Buffer.from(piece));
      if (end < 0) return;
      this.#end();
      start = end + 1;
    }
  }

  finish(): string[] {
    if (this.#length > 0) this.#end();
    return this.#lines;
  }

  #end(): void {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    const line = this.#lines.length + 1;
    try {
      const text = this.#decoder.decode(bytes);
      this.#lines.push(line === 1 ? text.replace(/^\ufeff/, '') : text);
    } catch {
      const text = bytes.toString('utf8');
      const column = text.indexOf('\ufffd') + 1;
      const found = `not UTF-8: byte 0x${bytes[Buffer.byteLength(text.slice(0, column - 1))]!.toString(16)}`;
      throw errorAt({ file: this.#file, line, column, text }, { found, expected: 'a text file in UTF-8' });
    }
    this.#pieces = [];
    this.#length = 0;
  }
}

function open(path: string, fileName: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (isSystemError(error)) throw unreadable(fileName, error);
    throw error;
  }
}

const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';

function unreadable(fileName: string, { code }: NodeJS.ErrnoException): UserError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    EACCES: 'the file may not be read',
    EISDIR: 'this is a folder',
  };
  return new UserError({
    place: fileName,
    found: reasons[code ?? ''] ?? `cannot be read (${code})`,
    expected: 'a workload file',
  });
}
