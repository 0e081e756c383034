// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../../errors.ts';
import { readCpio } from './cpio.ts';
import { run, tools } from './tools.ts';

/** One boot of a machine. */
export interface Boot {
  readonly kernel: string;
  readonly initramfs: Uint8Array;
  /** QEMU's CPU model. */
  readonly cpu: string;
  readonly seconds: number;
  /** Folder for its files. */
  readonly scratch: string;
}

/** The CPU models of QEMU's software CPU (TCG) that have SVM with nested paging. */
export const cpuModel = (la57: boolean): string => (la57 ? 'max' : 'max,la57=off');

const MEMORY_MIB = 2500;
const CONSOLE_PORT = '0x4f0';
const commandLine = 'console=ttyS0 rdinit=/init panic=-1 quiet mitigations=off nokaslr';

/** Boots QEMU and returns the files that init.sh sent out. UserError with the end of the console when none came. */
export function bootQemu({ kernel, initramfs, cpu, seconds, scratch }: Boot): Map<string, Buffer> {
  const file = (name: string): string => join(scratch, name);
  writeFileSync(file('initramfs'), initramfs);
  const { status, stderr, stopped } = run(
    tools.qemu,
    [
      ...['-accel', 'tcg', '-machine', 'pc', '-cpu', cpu, '-smp', '1', '-m', String(MEMORY_MIB)],
      ...['-display', 'none', '-nodefaults', '-no-reboot'],
      ...['-kernel', kernel, '-initrd', file('initramfs'), '-append', commandLine],
      ...['-serial', `file:${file('console')}`],
      ...['-chardev', `file,id=out,path=${file('out')}`, '-device', `isa-debugcon,iobase=${CONSOLE_PORT},chardev=out`],
    ],
    seconds,
  );
  try {
    return readCpio(gunzipSync(readFileSync(file('out'))));
  } catch (error) {
    const console = existsSync(file('console')) ? readFileSync(file('console'), 'latin1') : '';
    const tail = `${console}\n${stderr}`
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '')
      .slice(-12);
    const why = stopped ? `it did not end within ${seconds} s` : `it ended with status ${status}`;
    throw new UserError({
      place: kernel,
      found: `the machine in QEMU sent no results: ${why} (${(error as Error).message})\n    ${tail.join('\n    ')}`,
      expected: 'a kernel for x86-64 with initramfs and 8250 console, and its KVM modules',
    });
  }
}
