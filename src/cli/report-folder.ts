// SPDX-License-Identifier: GPL-2.0-only
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';

/** First bytes of our report.json: what tells a folder of ours from one that must not be touched. */
const marker = '{\n "schema": "mmu-eras-report/';
const ownNames = new Set(['index.html', 'report.md', 'report.json', 'eras', 'charts']);

/**
 * Writes a report into a folder that is there whole or not at all: beside it first, then renamed. A folder of ours, or
 * an empty one, is replaced. Throws UserError for any other folder, and when the disk refuses.
 */
export function writeReportFolder(folder: string, files: ReadonlyMap<string, string>): void {
  checkReportFolder(folder);
  // An interrupt would leave the temporary folder behind; all that follows takes a moment.
  const later = (): void => {};
  process.on('SIGINT', later).on('SIGTERM', later);
  let temporary: string | undefined;
  try {
    const target = existing(folder) ? realpathSync(folder) : resolve(folder);
    mkdirSync(dirname(target), { recursive: true });
    temporary = mkdtempSync(join(dirname(target), `.${basename(target)}.`));
    chmodSync(temporary, 0o777 & ~process.umask());
    for (const [name, content] of files) {
      mkdirSync(dirname(join(temporary, name)), { recursive: true });
      writeFileSync(join(temporary, name), content);
    }
    replace(target, temporary);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
    throw refused(folder, error);
  } finally {
    process.off('SIGINT', later).off('SIGTERM', later);
  }
}

/** Before the work: throws UserError when the folder is not ours to replace. */
export function checkReportFolder(folder: string): void {
  let entries: string[];
  try {
    if (!existing(folder)) return;
    entries = readdirSync(folder);
  } catch (error) {
    throw refused(folder, error);
  }
  if (entries.length === 0 || (entries.every((name) => ownNames.has(name)) && isOurs(folder))) return;
  const foreign = entries.filter((name) => !ownNames.has(name)).sort();
  throw new UserError({
    place: folder,
    found: foreign.length > 0 ? otherFiles(foreign) : 'a folder that is no report',
    expected: 'a new folder, an empty one, or a report of mmu-eras, which is replaced',
    suggestion: `-o ${join(folder, 'mmu-report')}`,
  });
}

const otherFiles = (names: readonly string[]): string =>
  names.length === 1
    ? `a folder with 1 other file, ${names[0]}`
    : `a folder with ${names.length} other files, ${names[0]} among them`;

function isOurs(folder: string): boolean {
  let file: number | undefined;
  try {
    file = openSync(join(folder, 'report.json'), 'r');
    const start = Buffer.alloc(marker.length);
    readSync(file, start);
    return start.toString('latin1') === marker;
  } catch {
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function existing(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The old folder leaves only when the new one stands in its place. */
function replace(target: string, temporary: string): void {
  if (!existing(target)) {
    renameSync(temporary, target);
    return;
  }
  const old = `${temporary}.old`;
  renameSync(target, old);
  try {
    renameSync(temporary, target);
  } catch (error) {
    renameSync(old, target);
    throw error;
  }
  rmSync(old, { recursive: true, force: true });
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'no permission to write there',
  EEXIST: 'a file, not a folder',
  ENOTDIR: 'a file, not a folder',
  ENOENT: 'a link to nothing',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'a disk that is read-only',
  ENAMETOOLONG: 'a name that is too long',
};

function refused(folder: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  return new UserError({
    place: folder,
    found: `${reasons[code] ?? 'the disk refused'} (${code})`,
    expected: 'a folder that can be written',
  });
}
