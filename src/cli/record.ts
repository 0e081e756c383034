// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { bootImages, imageFiles } from '../record/guest/image.ts';
import { chooseHost, type HostChoice } from '../record/machine/choose.ts';
import { type ModeName, modeNames } from '../record/machine/modes.ts';
import { writeFiles } from '../record/output.ts';
import { record } from '../record/record.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { workloadsNamed } from './workload-input.ts';

const deb = 'linux-image-6.1.0-56-amd64_6.1.192-2_amd64.deb';

/** `mmu-eras record`: runs workloads on a real kernel and counts what its KVM does. */
export const recordCommand: Command = {
  usage: 'record <workloads..>',
  build: (yargs) =>
    yargs
      .positional('workloads', { type: 'string', array: true, demandOption: true, describe: 'bundled, or .ops files' })
      .option('output', { alias: 'o', type: 'string', demandOption: true, describe: 'folder for the recordings' })
      .option('kernel', { type: 'string', array: true, nargs: 1, describe: 'package (.deb) or folder of a kernel' })
      .option('mode', { choices: modeNames, describe: 'how KVM is loaded (default: npt in QEMU, as it is here)' })
      .option('via', { choices: ['kvm', 'qemu'], describe: 'this machine, or QEMU (the default with --kernel)' })
      .option('seconds', { type: 'number', default: 120, describe: 'how long one guest may take' })
      .option('image-only', { type: 'boolean', default: false, describe: 'write the guest images, run nothing' })
      .example(`mmu-eras record wp-toggle -o rec --kernel ${deb}`, 'Linux 6.1 in QEMU')
      .example('mmu-eras record my.ops -o rec --mode shadow', 'on this machine, as root')
      .example('mmu-eras parity rec --ops .', 'compares the recordings with the model'),
  async run(args) {
    const output = String(args.output);
    const images = bootImages(await workloadsNamed(args.workloads as string[]));
    if (args.imageOnly) {
      for (const path of writeFiles(output, imageFiles(images))) process.stdout.write(`${path}\n`);
      return exit.ok;
    }
    const scratch = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
    process.on('SIGINT', stay);
    try {
      const host = chooseHost({
        kernel: args.kernel as string[] | undefined,
        via: args.via as HostChoice['via'],
        mode: args.mode as ModeName | undefined,
        seconds: wholeSeconds(Number(args.seconds)),
        guests: images.length,
        scratch,
      });
      writeFiles(output, new Map());
      const { files, truths, failures } = record(images, { host, tell });
      writeFiles(output, files);
      for (const path of truths) process.stdout.write(`${join(output, path)}\n`);
      failures.forEach(tell);
      return failures.length === 0 ? exit.ok : exit.failed;
    } finally {
      process.off('SIGINT', stay);
      rmSync(scratch, { recursive: true, force: true });
    }
  },
};

/** An interrupt ends what runs below us; we live on to take away what it left. */
const stay = (): void => {};

const tell = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function wholeSeconds(seconds: number): number {
  if (Number.isInteger(seconds) && seconds > 0) return seconds;
  throw new UserError({ place: '--seconds', found: `${seconds}`, expected: 'a whole number above 0' });
}
