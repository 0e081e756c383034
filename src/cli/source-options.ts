// SPDX-License-Identifier: GPL-2.0-only
import type { Argv } from 'yargs';
import { openSource, type UpstreamSource } from '../upstream/source.ts';
import { type Elsewhere, elsewhere } from '../upstream/subject.ts';

/** Adds the options that say where upstream commits are read from. */
export const withSource = (yargs: Argv): Argv =>
  yargs
    .option('repo', { type: 'string', requiresArg: true, describe: 'your clone of the kernel, of any kind; only read' })
    .option('capsule', {
      type: 'string',
      requiresArg: true,
      describe: 'a file of mmu-eras upstream pack, instead of a clone',
    })
    .option('at', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [],
      describe: 'ERA=REVISION: where an era is in a tree without the original ids',
    });

/** What `withSource` read. */
export interface SourceArguments {
  readonly repo: string | undefined;
  readonly capsule: string | undefined;
  readonly at: Elsewhere;
}

/** The options of `withSource`, checked. */
export const sourceArguments = (args: Record<string, unknown>): SourceArguments => ({
  repo: args.repo as string | undefined,
  capsule: args.capsule as string | undefined,
  at: elsewhere(args.at as readonly string[]),
});

/** Runs `use` with the source that the options name, or the synced cache, or null; closes it whatever happens. */
export async function usingSource<T>(
  options: Pick<SourceArguments, 'repo' | 'capsule'>,
  use: (source: UpstreamSource | null) => Promise<T>,
): Promise<T> {
  const source = await openSource(options);
  try {
    return await use(source);
  } finally {
    await source?.close();
  }
}
