// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../errors.ts';

/** A vector file may be this long, packed and unpacked; the longest known are below 40 MiB. */
const LONGEST = 256 * 1024 * 1024;

/**
 * Text of a vector file, unpacked when it is gzipped (told by its first bytes, not by its name).
 * UserError: missing, cut off, too long, not UTF-8.
 */
export function readVectorText(path: string): string {
  const bytes = unpack(path, readBytes(path));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError({
      place: path,
      found: 'bytes that are not UTF-8',
      expected: 'a vector file (JSON or JSON lines)',
    });
  }
}

function readBytes(path: string): Buffer {
  try {
    if (statSync(path).size > LONGEST) {
      throw new UserError({ place: path, found: `more than ${LONGEST} bytes`, expected: 'a vector file' });
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new UserError({
      place: path,
      found: code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'a folder' : `cannot be read (${code})`,
      expected: 'a vector file',
      suggestion: 'mmu-eras conform test/vectors/*',
    });
  }
}

function unpack(path: string, bytes: Buffer): Buffer {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: LONGEST });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UserError({
      place: path,
      found:
        code === 'ERR_BUFFER_TOO_LARGE' ? `more than ${LONGEST} bytes when unpacked` : 'a damaged or cut off gzip file',
      expected: 'a whole vector file',
      suggestion: 'copy the file again',
    });
  }
}
