// SPDX-License-Identifier: GPL-2.0-only
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../src/errors.ts';

/** A folder for one test file, and what removes it. The name has a space and a letter that is not ASCII. */
export function scratch(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'upstream tést '));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Hash of every file, link, folder and mode below a folder; access times do not count. */
export function fingerprint(folder: string): string {
  const hash = createHash('sha256');
  for (const name of (readdirSync(folder, { recursive: true }) as string[]).sort()) {
    const path = join(folder, name);
    const stat = lstatSync(path);
    hash.update(`${name}\0${stat.mode}\0${stat.mtimeMs}\0`);
    if (stat.isFile()) hash.update(readFileSync(path));
    else if (stat.isSymbolicLink()) hash.update(readlinkSync(path));
  }
  return hash.digest('hex');
}

/** The message of the UserError that a promise must be rejected with; any other outcome is an error of its own. */
export async function mistakeFrom(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('no mistake was reported');
}

/** The command in a message's `try:` line. */
export const suggestionIn = (message: string): string => /^ {2}try: (.*)$/m.exec(message)![1]!;
