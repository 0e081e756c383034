// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { projectRoot } from '../../root.ts';
import { runWell, tools } from './tools.ts';

/** A file of record/ in the package. */
export const scriptPath = (name: 'monitor.c' | 'init.sh' | 'trace-guests.sh'): string =>
  join(projectRoot().folder, 'record', name);

/** Compiles the monitor into a folder, without shared libraries, and returns its path. */
export function buildMonitor(folder: string): string {
  const path = join(folder, 'monitor');
  runWell(tools.cc, ['-O2', '-static', '-o', path, scriptPath('monitor.c')], 'compile the monitor');
  return path;
}
