// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder with one folder a port. */
export const snapshots = fileURLToPath(new URL('../../snapshots', import.meta.url));

/** Folders of the ports there are, those of one month in the order of history. */
export const portFolders: readonly string[] = [
  ...new Set([
    '2008-12-base-role-before',
    '2008-12-base-role',
    '2018-10-role-union',
    '2022-02-v5.17',
    '2022-02-no-unload-v2',
    '2022-04-cpu-role-parent',
    '2022-04-cpu-role',
    '2022-04-root-role',
    ...readdirSync(snapshots, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && /^\d{4}-\d{2}-/.test(entry.name))
      .map(({ name }) => name)
      .sort(),
  ]),
];

/** TypeScript files of a port, by name. */
export const filesOf = (folder: string): string[] =>
  readdirSync(join(snapshots, folder))
    .filter((name) => name.endsWith('.ts'))
    .sort();
