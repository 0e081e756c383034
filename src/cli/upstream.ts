// SPDX-License-Identifier: GPL-2.0-only
import type { Argv } from 'yargs';
import { UserError } from '../errors.ts';
import type { Command } from './commands.ts';
import { pack, sync } from './upstream/actions.ts';

/** The actions, and the options that are for one of them only. */
const actions = { sync: ['remote'], pack: ['repo', 'output'] } as const;

/** `mmu-eras upstream`: a small clone of just the commits that the facts name, and one file with all that is needed of them. */
export const upstreamCommand: Command = {
  usage: 'upstream <action>',
  build: (yargs: Argv) =>
    yargs
      .positional('action', {
        choices: Object.keys(actions),
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
    const action = args.action === 'sync' ? 'sync' : 'pack';
    const foreign = actions[action === 'sync' ? 'pack' : 'sync'].find((name) => args[name] !== undefined);
    if (foreign !== undefined) throw foreignOption(action, foreign);
    if (action === 'sync') return await sync(args.remote as string | undefined, also);
    return await pack(args.repo as string | undefined, args.output as string | undefined, also);
  },
};

const foreignOption = (action: keyof typeof actions, name: string): UserError =>
  new UserError({
    place: `mmu-eras upstream ${action}`,
    found: `--${name}`,
    expected: `${actions[action].map((each) => `--${each}`).join(', ')} or --also`,
    suggestion: 'mmu-eras upstream --help',
  });
