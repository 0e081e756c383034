// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { UserError } from '../errors.ts';
import { resolveEras } from '../facts/index.ts';
import { verifyJson, verifyText } from '../report/verify.ts';
import { parseRevision } from '../upstream/revision.ts';
import { exitOf } from '../verify/model.ts';
import type { Command } from './commands.ts';
import { withFormat } from './facts/options.ts';
import { sourceArguments, usingSource, withSource } from './source-options.ts';

/** `mmu-eras verify`: layouts, cited functions and commits against the real source in a clone or capsule. */
export const verifyCommand: Command = {
  usage: 'verify',
  build: (yargs: Argv) =>
    withFormat(
      withSource(yargs).option('era', {
        type: 'string',
        array: true,
        requiresArg: true,
        describe: 'only these eras; without it all of them, and the other commits of the facts',
      }),
      ['text', 'json'],
    )
      .example('mmu-eras verify --repo ~/linux', 'everything, in your clone')
      .example(
        'mmu-eras verify --repo ~/ubuntu --era v5.19 --at v5.19=Ubuntu-5.19.0-50.50',
        'in a tree with other ids',
      ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const named = args.era as readonly string[] | undefined;
    const eras = resolveEras(named ? named.join(',') : 'all');
    const { at, ...where } = sourceArguments(args);
    for (const revision of at.values()) parseRevision(revision);
    return await usingSource(where, async (upstream) => {
      if (!upstream) throw noSource();
      const [{ verify }, { kernelSource }] = await Promise.all([
        import('../verify/verify.ts'),
        import('../verify/upstream.ts'),
      ]);
      const found = await verify(kernelSource(upstream), { eras, at, milestones: named === undefined });
      process.stdout.write(args.format === 'json' ? verifyJson(found) : verifyText(found));
      return exitOf(found);
    });
  },
};

const noSource = (): UserError =>
  new UserError({
    place: 'mmu-eras verify',
    found: 'no kernel source to read',
    expected: '--repo with a clone of the kernel, or --capsule with a file of mmu-eras upstream pack',
    suggestion: 'mmu-eras upstream sync, which fetches just the commits of the facts',
  });
