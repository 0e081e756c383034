// SPDX-License-Identifier: GPL-2.0-only
import type { Argv } from 'yargs';
import type { MmuImplementation, MmuKind } from '../era.ts';
import type { HostOptions } from '../replay/host.ts';
import { type ProgressForm, withProgress } from './progress.ts';
import type { ReplayInput } from './replay-input.ts';

/** Options of every command that runs workloads. */
export function withHostOptions(yargs: Argv): Argv {
  return yargs
    .option('mmu', {
      choices: ['shadow', 'npt', 'ept'] as const,
      default: 'npt',
      describe: 'shadow paging, AMD nested paging or Intel EPT',
    })
    .option('mmu-impl', {
      choices: ['tdp-mmu', 'legacy'] as const,
      describe: 'with npt or ept: which MMU the kernel uses (default: its own default)',
    })
    .option('vendor', {
      choices: ['svm', 'vmx'] as const,
      default: 'svm',
      describe: 'vendor module under shadow paging',
    });
}

/** The argument and the options of commands that replay what the user names. */
export const withReplayInput = (yargs: Argv): Argv =>
  withProgress(withHostOptions(yargs))
    .positional('workload', {
      type: 'string',
      demandOption: true,
      describe: 'bundled name, .ops, .jsonl or .mmut file, or gen:name?option=value',
    })
    .option('salvage', {
      type: 'boolean',
      default: false,
      describe: 'take what is whole of a damaged .mmut file',
    });

export const replayInput = (command: string, args: Readonly<Record<string, unknown>>): ReplayInput => ({
  ...hostOptions(args),
  command,
  salvage: args.salvage === true,
  progress: args.progress as ProgressForm,
});

/** The parsed options; yargs has checked the choices. */
export function hostOptions(args: Readonly<Record<string, unknown>>): HostOptions {
  return {
    kind: args.mmu as MmuKind,
    implementation: (args.mmuImpl as MmuImplementation | undefined) ?? null,
    vendor: args.vendor as HostOptions['vendor'],
  };
}
