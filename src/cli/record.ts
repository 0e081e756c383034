// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { bootImage } from '../record/guest/image.ts';
import type { Host } from '../record/machine/host.ts';
import { localHost } from '../record/machine/local-host.ts';
import { type ModeName, modeNames } from '../record/machine/modes.ts';
import { qemuHost } from '../record/machine/qemu-host.ts';
import { writeFiles } from '../record/output.ts';
import { record } from '../record/record.ts';
import { loadWorkload } from '../workload/bundled.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';

export const recordCommand: Command = {
  usage: 'record <workloads..>',
  build: (yargs) =>
    yargs
      .positional('workloads', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'bundled names, or .ops files',
      })
      .option('output', { alias: 'o', type: 'string', demandOption: true, describe: 'folder for the recordings' })
      .option('kernel', {
        type: 'string',
        array: true,
        requiresArg: true,
        describe: '.deb or folder of a kernel, for QEMU',
      })
      .option('mode', { choices: modeNames, default: 'npt' as ModeName, describe: 'how the modules are loaded' })
      .option('via', {
        choices: ['kvm', 'qemu'] as const,
        describe: 'this machine, or QEMU; default: qemu with --kernel',
      })
      .option('seconds', { type: 'number', default: 120, describe: 'time that one guest may take' })
      .option('image-only', { type: 'boolean', default: false, describe: 'write the guest images and run nothing' })
      .example('mmu-eras record wp-toggle -o rec --kernel linux-image-6.1.0-56-amd64_6.1.192-2_amd64.deb', 'in QEMU')
      .example('mmu-eras record my.ops -o rec --mode shadow --via kvm', 'on this machine, as root')
      .example('mmu-eras parity rec --ops .', 'compare what was recorded with the model'),
  async run(args) {
    const { output, mode, seconds } = args as unknown as { output: string; mode: ModeName; seconds: number };
    const images = [...new Set(args.workloads as string[])].map((name) => bootImage(loadWorkload(name)));
    if (args['image-only']) {
      const files = images.flatMap(({ name, memory, phases }) => [
        [`${name}.img`, memory] as const,
        [`${name}.phases`, phases.map((phase) => `${phase}\n`).join('')] as const,
      ]);
      for (const path of writeFiles(output, new Map(files))) process.stdout.write(`${path}\n`);
      return exit.ok;
    }
    const scratch = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
    try {
      const host = hostFor({
        kernel: args.kernel as string[] | undefined,
        via: args.via as 'kvm' | 'qemu' | undefined,
        mode,
        seconds,
        guests: images.length,
        scratch,
      });
      const { files, truths, failures } = record(images, host, mode, (line) => process.stderr.write(`${line}\n`));
      writeFiles(output, files);
      for (const path of truths) process.stdout.write(`${join(output, path)}\n`);
      for (const line of failures) process.stderr.write(`${line}\n`);
      return failures.length === 0 ? exit.ok : exit.failed;
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
};

interface HostOptions {
  readonly kernel: readonly string[] | undefined;
  readonly via: 'kvm' | 'qemu' | undefined;
  readonly mode: ModeName;
  readonly seconds: number;
  readonly guests: number;
  readonly scratch: string;
}

function hostFor({ kernel, via, ...options }: HostOptions): Host {
  const place = via === undefined ? 'mmu-eras record' : `--via ${via}`;
  if (via === 'kvm' && kernel) {
    throw new UserError({ place, found: '--kernel', expected: 'the kernel that runs', suggestion: '--via qemu' });
  }
  if (kernel) return qemuHost({ kernel, ...options });
  if (via !== 'qemu') return localHost(options);
  throw new UserError({
    place,
    found: 'no --kernel',
    expected: '--kernel linux-image-….deb',
    suggestion: 'apt-get download linux-image-amd64, and the package it depends on',
  });
}
