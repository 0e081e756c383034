// SPDX-License-Identifier: GPL-2.0-only
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';

/** Writes files below a folder, each beside its place and then renamed, so that none is ever there in part. Returns their paths; makes the folder. */
export function writeFiles(folder: string, files: ReadonlyMap<string, string | Uint8Array>): string[] {
  attempt(folder, () => mkdirSync(folder, { recursive: true }));
  return [...files].map(([name, content]) => {
    const path = join(folder, name);
    writeWhole(path, content);
    return path;
  });
}

function writeWhole(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  attempt(path, () => {
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(temporary, content);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
}

/** Does something to a path; what the system refuses is the user's to mend. */
function attempt(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UserError({
      place: path,
      found: `cannot be written (${code})`,
      expected: 'a folder that may be written',
    });
  }
}
