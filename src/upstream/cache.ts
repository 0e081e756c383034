// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { UserError } from '../errors.ts';

/** The bare repository of `mmu-eras upstream sync`: below XDG_CACHE_HOME when that is an absolute path, else ~/.cache. */
export function cacheRepository(): string {
  const given = process.env.XDG_CACHE_HOME ?? '';
  const base = isAbsolute(given) ? given : join(homedir(), '.cache');
  return join(base, 'kvm-mmu-eras', 'upstream.git');
}

/** The same, when it is there; else UserError. */
export function cacheOrMistake(): string {
  const cache = cacheRepository();
  if (existsSync(cache)) return cache;
  throw new UserError({
    place: 'upstream',
    found: 'no clone named, and nothing synced yet',
    expected: '--repo DIR, or the cache of mmu-eras upstream sync',
    suggestion: 'mmu-eras upstream sync',
  });
}

/** A partial repository that never tidies up by itself: what came stays. */
const config = [
  '[core]',
  '\trepositoryformatversion = 1',
  '\tbare = true',
  '[extensions]',
  '\tpartialClone = upstream',
  '[remote "upstream"]',
  '\tpromisor = true',
  '\tpartialclonefilter = blob:none',
  '[gc]',
  '\tauto = 0',
  '[maintenance]',
  '\tauto = false',
  '',
].join('\n');

/** Makes the repository when it is not there, and says whether it did. A half one is never seen under its name. */
export function prepareCache(cache: string): boolean {
  if (existsSync(cache)) return false;
  const temporary = `${cache}.${process.pid}.tmp`;
  try {
    for (const name of ['objects/info', 'objects/pack', 'refs/tags', 'info']) {
      mkdirSync(join(temporary, name), { recursive: true });
    }
    writeFileSync(join(temporary, 'HEAD'), 'ref: refs/heads/none\n');
    writeFileSync(join(temporary, 'config'), config);
    renameSync(temporary, cache);
    return true;
  } catch (error) {
    removeCache(temporary);
    throw new UserError({
      place: 'the cache of mmu-eras upstream sync',
      found: (error as NodeJS.ErrnoException).message,
      expected: 'a folder that can be written: XDG_CACHE_HOME, or ~/.cache',
    });
  }
}

export const removeCache = (cache: string): void => rmSync(cache, { recursive: true, force: true });
