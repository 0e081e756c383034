// SPDX-License-Identifier: GPL-2.0-only
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { UserError } from './errors.ts';

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'no permission to write there',
  EEXIST: 'a file, not a folder',
  EISDIR: 'a folder, not a file',
  ENOTDIR: 'a file, not a folder',
  ENOENT: 'no such folder',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'a file larger than may be written here',
  EROFS: 'a disk that is read-only',
  ENAMETOOLONG: 'a name that is too long',
};

/** `the disk is full (ENOSPC)`: what the system said, in words; undefined when the error is not the system's. */
export function diskReason(error: unknown): string | undefined {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === undefined || syscall === undefined ? undefined : `${reasons[code] ?? 'the disk refused'} (${code})`;
}

/** Writes some text to an open file. */
export type Write = (file: number, text: string) => void;

const writeAll: Write = (file, text) => {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
};

/**
 * Writes a file that is there whole or not at all: under `temporary` first, then renamed. What the system says to it is
 * thrown as it is, and nothing is left.
 */
export function writeWhole(
  path: string,
  pieces: Iterable<string>,
  { temporary = `${path}.${process.pid}.tmp`, write = writeAll }: { temporary?: string; write?: Write } = {},
): void {
  try {
    const file = openSync(temporary, 'w');
    try {
      for (const piece of pieces) write(file, piece);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** As a mistake of the user, when the system refused; anything else as it is. */
export function writeRefused(
  path: string,
  error: unknown,
  expected = 'a file in a folder that may be written',
): unknown {
  const found = diskReason(error);
  return found === undefined ? error : new UserError({ place: path, found, expected });
}
