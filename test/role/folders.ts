// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder with one folder a port. */
export const snapshots = fileURLToPath(new URL('../../snapshots', import.meta.url));

/**
 * The ports in the order of history, and the revisions each may cite: its own commit or the one it precedes, and the
 * release whose text stands around it where it has one.
 */
export const revisions: Readonly<Record<string, readonly string[]>> = {
  '2008-12-base-role-before': ['v2.6.29', 'v2.6.30'],
  '2008-12-base-role': ['a770f6f28b1a', 'v2.6.29', 'v2.6.30'],
  '2018-10-role-union-before': ['36d9594dfbf2', 'v4.20'],
  '2018-10-role-union': ['36d9594dfbf2', 'v4.20'],
  '2018-12-v4.20': ['v4.20'],
  '2020-12-v5.10': ['v5.10.262'],
  '2022-02-v5.17': ['v5.17'],
  '2022-02-no-unload-v2': ['v5.17'],
  '2022-04-cpu-role-parent': ['b89805082adf', 'v5.19', '6819af75'],
  '2022-04-cpu-role': ['e5ed0fb01004', 'v5.19', '6819af75'],
  '2022-04-root-role': ['7a458f0e1ba1', 'v5.19', '6819af75'],
  '2022-07-v5.19': ['v5.19'],
  '2023-03-cr0wp': ['01b31714bd90', 'v6.3', 'v6.3.8', 'v6.4'],
  '2026-11-v6.1': ['v6.1.192'],
  '2026-11-v6.12': ['v6.12.117'],
  '2026-11-v7.2': ['v7.2.12'],
  '2026-11-v7.3': ['v7.3.4'],
};

const present = readdirSync(snapshots, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && /^\d{4}-\d{2}-/.test(entry.name))
  .map(({ name }) => name);

/** Folders of the ports there are, in the order of `revisions`; one that is missing there comes last. */
export const portFolders: readonly string[] = [
  ...Object.keys(revisions).filter((port) => present.includes(port)),
  ...present.filter((port) => !(port in revisions)).sort(),
];

/** TypeScript files of a port, by name. */
export const filesOf = (folder: string): string[] =>
  readdirSync(join(snapshots, folder))
    .filter((name) => name.endsWith('.ts'))
    .sort();
