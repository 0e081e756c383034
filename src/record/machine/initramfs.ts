// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { UserError } from '../../errors.ts';
import { type ArchiveEntry, writeCpio } from './cpio.ts';
import { scriptPath } from './monitor.ts';

/** What the machine in QEMU finds. */
export interface MachineFiles {
  /** Modules in the order to load them, and the parameters of those that have some. */
  readonly modules: ReadonlyMap<string, Uint8Array>;
  readonly parameters: Readonly<Record<string, string>>;
  /** `survey` or `trace SECONDS`. */
  readonly task: string;
  readonly monitor: Uint8Array;
  /** Files of /input beside the monitor and the script. */
  readonly input: ReadonlyMap<string, Uint8Array | string>;
}

const busyboxPath = '/bin/busybox';

/** The compressed archive that the kernel unpacks and whose /init it runs. */
export function initramfs({ modules, parameters, task, monitor, input }: MachineFiles): Buffer {
  const folder = (name: string): ArchiveEntry => ({ name, content: null });
  const file = (name: string, content: Uint8Array | string): ArchiveEntry => ({
    name,
    content: typeof content === 'string' ? Buffer.from(content) : content,
  });
  const program = (name: string, content: Uint8Array): ArchiveEntry => ({ name, content, executable: true });
  const order = [...modules.keys()].map((name) => `${name}.ko ${parameters[name] ?? ''}`.trimEnd());
  return gzipSync(
    writeCpio([
      program('init', readFileSync(scriptPath('init.sh'))),
      folder('bin'),
      program('bin/busybox', staticBusybox()),
      folder('modules'),
      file('modules/order', `${order.join('\n')}\n`),
      ...[...modules].map(([name, content]) => file(`modules/${name}.ko`, content)),
      folder('input'),
      file('input/task', `${task}\n`),
      program('input/monitor', monitor),
      file('input/trace-guests.sh', readFileSync(scriptPath('trace-guests.sh'))),
      ...[...input].map(([name, content]) => file(`input/${name}`, content)),
    ]),
    { level: 1 },
  );
}

/** Busybox must run where there is no shared library. */
function staticBusybox(): Buffer {
  const bytes = existsSync(busyboxPath) ? readFileSync(busyboxPath) : null;
  if (bytes && !needsInterpreter(bytes)) return bytes;
  throw new UserError({
    place: busyboxPath,
    found: bytes ? 'a busybox that needs shared libraries' : 'no such file',
    expected: 'busybox without shared libraries',
    suggestion: 'apt-get install busybox-static',
  });
}

/** Whether a 64-bit ELF file has a program header of type PT_INTERP (3): a dynamic linker. */
export function needsInterpreter(elf: Buffer): boolean {
  const [start, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  return Array.from({ length: count }, (_, i) => elf.readUInt32LE(start + size * i)).includes(3);
}
