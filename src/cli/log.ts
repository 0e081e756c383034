// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson } from './facts/sheet.ts';
import { logText } from './log-text.ts';
import { sourceArguments, usingSource, withSource } from './source-options.ts';

/** `mmu-eras log`: the commits that touched a function or role bit, with links; with a clone, their hunks. */
export const logCommand: Command = {
  usage: 'log <name>',
  build: (yargs: Argv) =>
    withFormat(
      withSource(
        yargs.positional('name', {
          type: 'string',
          demandOption: true,
          describe: 'a kernel function that a port is about, or a role bit',
        }),
      ),
      ['text', 'json'],
    )
      .example('mmu-eras log cr0_wp', 'every commit that moved the bit, and where it stood')
      .example('mmu-eras log kvm_init_mmu --repo ~/linux', 'and git log -L between the first era and the last'),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const { at, ...where } = sourceArguments(args);
    const { log } = await import('../verify/log.ts');
    const model = await usingSource(where, (upstream) => log(String(args.name), upstream, at));
    process.stdout.write(args.format === 'json' ? asJson(model) : logText(model, standardOutput()));
    return exit.ok;
  },
};
