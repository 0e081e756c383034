// SPDX-License-Identifier: GPL-2.0-only
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** Folders whose code decides what a replay counts, beside the port. */
export const machineFolders = ['src/sim', 'src/replay', 'src/role', 'src/trace', 'src/workload'] as const;

/** Over path and content of every source file below the folders of `root`, in order of the paths. */
export function filesHash(folders: readonly string[], root: string): string {
  const hash = createHash('sha256');
  let files = 0;
  for (const folder of folders) {
    for (const path of sourcesBelow(join(root, folder))) {
      const text = readFileSync(path);
      hash.update(`${relative(root, path).split(sep).join('/')}\n${text.length}\n`).update(text);
      files++;
    }
  }
  if (files === 0) throw new Error(`no code in ${folders.join(', ')} of ${root}`);
  return hash.digest('hex').slice(0, 32);
}

function sourcesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
