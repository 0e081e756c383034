// SPDX-License-Identifier: GPL-2.0-only
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** The bare repository of `mmu-eras upstream sync`: below XDG_CACHE_HOME when that is an absolute path, else ~/.cache. */
export function cacheRepository(): string {
  const given = process.env.XDG_CACHE_HOME ?? '';
  const base = isAbsolute(given) ? given : join(homedir(), '.cache');
  return join(base, 'kvm-mmu-eras', 'upstream.git');
}
