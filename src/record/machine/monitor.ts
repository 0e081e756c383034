// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runWell, tools } from './tools.ts';

/** A file of record/ in the package, which stands three folders above this file's in the source and four above in the build. */
export function scriptPath(name: 'monitor.c' | 'init.sh' | 'trace-guests.sh'): string {
  for (const path of ['../../../record/', '../../../../record/']) {
    const file = fileURLToPath(new URL(path + name, import.meta.url));
    if (existsSync(file)) return file;
  }
  throw new Error(`record/${name} of kvm-mmu-eras not found`);
}

/** Compiles the monitor into a folder, without shared libraries, and returns its path. */
export function buildMonitor(folder: string): string {
  const path = join(folder, 'monitor');
  runWell(tools.cc, ['-O2', '-static', '-o', path, scriptPath('monitor.c')], 'compile the monitor');
  return path;
}
