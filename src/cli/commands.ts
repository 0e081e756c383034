// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { ExitCode } from './exit.ts';

/** One command file: its options, and what it does with them. */
export interface Command {
  /** yargs usage, e.g. `conform <files..>`. */
  readonly usage: string;
  build(yargs: Argv): Argv;
  run(args: ArgumentsCamelCase<Record<string, unknown>>): Promise<ExitCode>;
}

/** A command as the table knows it before its file is loaded. */
export interface CommandEntry {
  readonly describe: string;
  readonly load: () => Promise<Command>;
}

/** Every command, in the order of the help. Files load only when their command runs, so that `--help` stays quick. */
export const commands: Readonly<Record<string, CommandEntry>> = {
  replay: {
    describe: 'replay a workload under several eras: counters, roles, root loads and their reasons',
    load: async () => (await import('./replay.ts')).replayCommand,
  },
  compare: {
    describe: 'replay a workload under two eras and show every step at which they differ',
    load: async () => (await import('./compare.ts')).compareCommand,
  },
  uses: {
    describe: 'when is which role word used: function, field, why, and how often in a replay',
    load: async () => (await import('./uses.ts')).usesCommand,
  },
  report: {
    describe: 'replay workloads under all eras and MMU kinds into one page with charts, reasons, roles and links',
    load: async () => (await import('./report.ts')).reportCommand,
  },
  sweep: {
    describe:
      'replay a matrix of workloads, eras, MMU kinds, TLBs and seeds: in shards, in threads, and on from where it was',
    load: async () => (await import('./sweep.ts')).sweepCommand,
  },
  'sweep merge': {
    describe: 'join the shards of a sweep; refuses gaps, doubles and mixtures of versions',
    load: async () => (await import('./merge.ts')).mergeCommand,
  },
  conform: {
    describe: 'run vectors from real kernel code and hardware walks against the port or walker they name',
    load: async () => (await import('./conform.ts')).conformCommand,
  },
  parity: {
    describe: 'replay recorded runs of real kernels and compare field by field',
    load: async () => (await import('./parity.ts')).parityCommand,
  },
  record: {
    describe: 'run workloads on a real kernel, here or in QEMU, and count what its KVM does',
    load: async () => (await import('./record.ts')).recordCommand,
  },
  walk: {
    describe: 'hardware page walks: JSON records in, what came of each out',
    load: async () => (await import('./walk.ts')).walkCommand,
  },
  roles: {
    describe: 'role computation: JSON rows of registers in, roles and what follows from them out',
    load: async () => (await import('./roles.ts')).rolesCommand,
  },
  decode: {
    describe: 'a role word field by field, under the layout of any era',
    load: async () => (await import('./decode.ts')).decodeCommand,
  },
  bits: {
    describe: 'every role bit from 2007 to today, and the commits that touched it',
    load: async () => (await import('./bits.ts')).bitsCommand,
  },
  eras: {
    describe: 'the eras: commit, date, releases, status',
    load: async () => (await import('./eras.ts')).erasCommand,
  },
  show: {
    describe: 'the story of an era, its facts and its links',
    load: async () => (await import('./show.ts')).showCommand,
  },
  diff: {
    describe: 'what a commit or release changed, from your clone or a capsule; what one port changed from another',
    load: async () => (await import('./diff.ts')).diffCommand,
  },
  upstream: {
    describe: 'fetch just the commits of the facts into a small cache, or pack them into one file',
    load: async () => (await import('./upstream.ts')).upstreamCommand,
  },
  links: {
    describe: 'commits and mails of the eras, patch by patch for a proposed series',
    load: async () => (await import('./links.ts')).linksCommand,
  },
  log: {
    describe: 'the commits that touched a kernel function or role bit, with links',
    load: async () => (await import('./log.ts')).logCommand,
  },
  verify: {
    describe: 'our facts against the real source: role layouts, cited functions, commits',
    load: async () => (await import('./verify.ts')).verifyCommand,
  },
  gen: {
    describe: 'write a generated workload or trace, or list the generators',
    load: async () => (await import('./gen.ts')).genCommand,
  },
  convert: {
    describe: 'turn a workload into a trace, a trace into a workload or into JSONL, or take a part of one',
    load: async () => (await import('./convert.ts')).convertCommand,
  },
};
