// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Package {
  readonly name: string;
  readonly version: string;
}

interface Root {
  /** Absolute path of the project's folder, which holds commits/, workloads/ and snapshots/. */
  readonly folder: string;
  readonly version: string;
}

let cached: Root | undefined;

/** The project's own folder: the nearest one above this file whose package.json bears its name, as source and build differ in depth. */
export function projectRoot(): Root {
  cached ??= find(dirname(fileURLToPath(import.meta.url)));
  return cached;
}

function find(folder: string): Root {
  const file = join(folder, 'package.json');
  if (existsSync(file)) {
    // The shape of a package.json is npm's affair; a file without these members is not ours.
    const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as Package;
    if (name === 'kvm-mmu-eras') return { folder, version };
  }
  const above = dirname(folder);
  if (above === folder) throw new Error('package.json of kvm-mmu-eras not found');
  return find(above);
}
