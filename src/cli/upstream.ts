// SPDX-License-Identifier: GPL-2.0-only
import type { Argv } from 'yargs';
import { UserError } from '../errors.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { packAsText, syncAsText } from './upstream/text.ts';

const actions = ['sync', 'pack'] as const;

/** `mmu-eras upstream`: a small clone of just the commits that the facts name, and one file with all that is needed of them. */
export const upstreamCommand: Command = {
  usage: 'upstream <action>',
  build: (yargs: Argv) =>
    yargs
      .positional('action', {
        choices: actions,
        demandOption: true,
        describe: 'sync: fetch the commits into the cache; pack: write them from a clone (or the cache) to a capsule',
      })
      .option('remote', {
        type: 'string',
        requiresArg: true,
        describe: "sync: where from, an address or a path; Linus Torvalds' tree if not given",
      })
      .option('repo', { type: 'string', requiresArg: true, describe: 'pack: your clone, instead of the cache' })
      .option('output', { alias: 'o', type: 'string', requiresArg: true, describe: 'pack: the capsule to write' })
      .option('also', {
        type: 'string',
        array: true,
        requiresArg: true,
        default: [],
        describe: 'further commits (full ids for sync) or tags, beside those of the facts',
      })
      .example('mmu-eras upstream sync', 'the commits of the facts and their parents, once; then diff finds them')
      .example('mmu-eras upstream sync --remote ~/linux', 'the same from a clone, without network')
      .example('mmu-eras upstream pack -o kvm.capsule', 'one file for a machine without git and network'),
  async run(args) {
    const also = args.also as readonly string[];
    if (args.action === 'sync') return await sync(args.remote as string | undefined, also);
    return await pack(args.repo as string | undefined, args.output as string | undefined, also);
  },
};

async function sync(remote: string | undefined, also: readonly string[]) {
  const [{ syncCache }, { cacheRepository }, { mainlineUrl }, { upstreamPlan }] = await Promise.all([
    import('../upstream/sync.ts'),
    import('../upstream/cache.ts'),
    import('../upstream/fetch-line.ts'),
    import('../upstream/plan.ts'),
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

async function pack(repo: string | undefined, output: string | undefined, also: readonly string[]) {
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
    import('../upstream/pack.ts'),
    import('../upstream/clone.ts'),
    import('../upstream/cache.ts'),
    import('../upstream/plan.ts'),
  ]);
  const source = repo === undefined ? await openClone(cacheOrMistake(), { synced: true }) : await openClone(repo);
  try {
    process.stdout.write(packAsText(await packCapsule(source, upstreamPlan(also), output)));
    return exit.ok;
  } finally {
    await source.close();
  }
}
