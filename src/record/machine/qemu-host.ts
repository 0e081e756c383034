// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { UserError } from '../../errors.ts';
import { functionNames } from '../kernel/probes.ts';
import { type Host, noTypes } from './host.ts';
import { initramfs } from './initramfs.ts';
import { modulesFor, openKernel } from './kernel-package.ts';
import { type ModeName, modeNames, modes, moduleParameters } from './modes.ts';
import { buildMonitor } from './monitor.ts';
import { bootQemu, cpuModel } from './qemu.ts';

/** What a machine in QEMU is made of. */
export interface QemuOptions {
  /** Debian packages or folders with the kernel. */
  readonly kernel: readonly string[];
  readonly mode: ModeName;
  /** Seconds that one guest may take, and how many guests there are. */
  readonly seconds: number;
  readonly guests: number;
  /** Folder for temporary files. */
  readonly scratch: string;
}

/** Time for a kernel to boot and send its results, on a slow machine. */
const BOOT_SECONDS = 600;

/** A machine in QEMU, all software: it needs no /dev/kvm and no root. Each survey and each trace is a boot of its own. */
export function qemuHost({ kernel: paths, mode: name, seconds, guests, scratch }: QemuOptions): Host {
  const mode = modes[name];
  if (mode.vendor === 'intel') {
    throw new UserError({
      place: `--mode ${name}`,
      found: "QEMU's software CPU has no VMX",
      expected: `a mode of kvm_amd: ${modeNames.filter((each) => modes[each].vendor === 'amd').join(', ')}`,
      suggestion: '--via kvm on a machine with an Intel processor',
    });
  }
  const kernel = openKernel(paths, scratch);
  const modules = modulesFor(kernel, 'kvm_amd');
  const monitor = readFileSync(buildMonitor(scratch));
  const { kvm, vendor } = moduleParameters(mode);
  const cpu = cpuModel(mode.la57);
  const boot = (task: string, input: ReadonlyMap<string, Uint8Array | string>, limit: number): Map<string, Buffer> => {
    const image = initramfs({ modules, parameters: { kvm, kvm_amd: vendor }, task, monitor, input });
    const files = bootQemu({ kernel: kernel.image, initramfs: image, cpu, seconds: limit, scratch });
    const refused = files.get('errors')?.toString() ?? '';
    if (refused === '') return files;
    throw new UserError({
      place: kernel.image,
      found: refused.trim(),
      expected: 'modules that load',
      suggestion: `--mode ${name} may not be for this kernel`,
    });
  };
  return {
    mode: name,
    about: `cpu_model=${cpu}`,
    survey() {
      const files = boot('survey', new Map([['symbols', `${functionNames.join('\n')}\n`]]), BOOT_SECONDS);
      const btf = files.get('btf/vmlinux');
      if (!btf) throw noTypes(kernel.image);
      return { btf: { kernel: btf, kvm: files.get('btf/kvm') ?? null }, kallsyms: textOf(files, 'kallsyms') };
    },
    trace(input) {
      const output = boot(`trace ${seconds}`, input, BOOT_SECONDS + seconds * guests);
      return {
        release: textOf(output, 'release').trim(),
        version: textOf(output, 'version'),
        parameters: textOf(output, 'parameters'),
        cpuid: textOf(output, 'cpuid'),
        output,
      };
    },
  };
}

const textOf = (files: ReadonlyMap<string, Buffer>, name: string): string => files.get(name)?.toString('latin1') ?? '';
