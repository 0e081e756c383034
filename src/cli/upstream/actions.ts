// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { type ExitCode, exit } from '../exit.ts';
import { packAsText, syncAsText } from './text.ts';

/** Fetches into the cache; tells on standard error what it asks for, and on a terminal how far git is. */
export async function sync(remote: string | undefined, also: readonly string[]): Promise<ExitCode> {
  const [{ syncCache }, { cacheRepository }, { mainlineUrl }, { upstreamPlan }] = await Promise.all([
    import('../../upstream/sync.ts'),
    import('../../upstream/cache.ts'),
    import('../../upstream/fetch-line.ts'),
    import('../../upstream/plan.ts'),
  ]);
  const from = remote ?? mainlineUrl;
  process.stderr.write(`${from} -> ${cacheRepository()}\n`);
  const synced = await syncCache(cacheRepository(), from, upstreamPlan(also), {
    tell: (line) => process.stderr.write(`${line}\n`),
    ...(process.stderr.isTTY ? { onProgress: (text: string) => process.stderr.write(text) } : {}),
  });
  process.stdout.write(syncAsText(synced));
  return synced.fetched.length + synced.present.length > 0 ? exit.ok : exit.failed;
}

/** Writes a capsule from a clone, or from the cache. */
export async function pack(
  repo: string | undefined,
  output: string | undefined,
  also: readonly string[],
): Promise<ExitCode> {
  if (output === undefined) {
    const place = 'mmu-eras upstream pack';
    throw new UserError({
      place,
      found: 'no file to write',
      expected: '-o FILE',
      suggestion: `${place} -o kvm.capsule`,
    });
  }
  const [{ packCapsule }, { openClone }, { cacheOrMistake }, { upstreamPlan }] = await Promise.all([
    import('../../upstream/pack.ts'),
    import('../../upstream/clone.ts'),
    import('../../upstream/cache.ts'),
    import('../../upstream/plan.ts'),
  ]);
  const source = repo === undefined ? await openClone(cacheOrMistake(), { synced: true }) : await openClone(repo);
  try {
    process.stdout.write(packAsText(await packCapsule(source, upstreamPlan(also), output)));
    return exit.ok;
  } finally {
    await source.close();
  }
}
