// SPDX-License-Identifier: GPL-2.0-only
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { type Host, noTypes } from './host.ts';
import { loadedMode, systemFolders } from './loaded-mode.ts';
import type { ModeName } from './modes.ts';
import { buildMonitor, scriptPath } from './monitor.ts';
import { run, runWell } from './tools.ts';

/** How this machine is to be used. */
export interface LocalOptions {
  /** undefined: as KVM is loaded. */
  readonly mode: ModeName | undefined;
  readonly seconds: number;
  readonly scratch: string;
}

const btfFolder = '/sys/kernel/btf';
const tracingFolders = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
const vmsFolder = '/sys/kernel/debug/kvm';

/** This machine with its own /dev/kvm. Modules stay as they are loaded, so a mode can only be what they are. Wants root. */
export function localHost({ mode: asked, seconds, scratch }: LocalOptions): Host {
  checkMachine();
  const mode = loadedMode(asked);
  const monitor = buildMonitor(scratch);
  return {
    mode,
    about: 'via=kvm',
    survey() {
      if (!existsSync(join(btfFolder, 'vmlinux'))) throw noTypes('this kernel');
      const module = join(btfFolder, 'kvm');
      return {
        btf: {
          kernel: readFileSync(join(btfFolder, 'vmlinux')),
          kvm: existsSync(module) ? readFileSync(module) : null,
        },
        kallsyms: readFileSync('/proc/kallsyms', 'latin1'),
      };
    },
    trace(input) {
      const [from, to] = [join(scratch, 'input'), join(scratch, 'output')];
      for (const folder of [from, to]) mkdirSync(folder);
      for (const [name, content] of input) writeFileSync(join(from, name), content);
      writeFileSync(join(from, 'monitor'), readFileSync(monitor), { mode: 0o755 });
      const { status, stderr } = run(shell, [scriptPath('trace-guests.sh'), from, to, String(seconds)]);
      if (status !== 0) {
        throw new UserError({
          place: 'trace-guests.sh',
          found: stderr.trim(),
          expected: 'a tracefs in which an instance "mmu-eras" can be made',
          suggestion: `rmdir ${tracingFolders[0]}/instances/mmu-eras, if an earlier run left it behind`,
        });
      }
      return {
        release: release(),
        version: readFileSync('/proc/version', 'latin1'),
        parameters: ['kvm', 'kvm_amd', 'kvm_intel'].flatMap(parametersOf).join(''),
        cpuid: runWell({ command: monitor, package: '' }, ['cpuid'], 'read what KVM offers').toString('latin1'),
        output: new Map(readdirSync(to).map((name) => [name, readFileSync(join(to, name))])),
      };
    },
  };
}

const shell = { command: 'sh', package: 'dash' };

/** /dev/kvm, tracefs with kprobes, and nobody else's virtual machine in the counts. */
function checkMachine(): void {
  const need = (ok: boolean, mistake: { place: string; found: string; expected: string; suggestion: string }) => {
    if (!ok) throw new UserError(mistake);
  };
  need(canUse('/dev/kvm'), {
    place: '/dev/kvm',
    found: existsSync('/dev/kvm') ? 'may not be opened' : 'no such file',
    expected: 'a machine with KVM, and root',
    suggestion: 'modprobe kvm_amd or kvm_intel; or --via qemu --kernel linux-image-….deb, which needs neither',
  });
  need(
    tracingFolders.some((folder) => canUse(join(folder, 'kprobe_events')) && canUse(join(folder, 'instances'))),
    {
      place: tracingFolders[0]!,
      found: 'no kprobe_events and instances that may be written',
      expected: 'tracefs of a kernel with CONFIG_KPROBE_EVENTS=y, and root',
      suggestion: tracingFolders.some((folder) => existsSync(join(folder, 'trace')))
        ? '--via qemu --kernel linux-image-….deb'
        : `mount -t tracefs tracefs ${tracingFolders[0]}`,
    },
  );
  const others = existsSync(vmsFolder) ? readdirSync(vmsFolder).filter((name) => /^\d+-\d+$/.test(name)) : [];
  need(others.length === 0, {
    place: vmsFolder,
    found: `other virtual machines run: process ${others.map((name) => name.split('-')[0]).join(', ')}`,
    expected: 'none: their events would be counted',
    suggestion: '--via qemu --kernel linux-image-….deb',
  });
}

function parametersOf(module: string): string[] {
  const folder = join(systemFolders.modules, module, 'parameters');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .filter((name) => canRead(join(folder, name)))
    .map((name) => `${module}.${name}=${readFileSync(join(folder, name), 'latin1').trimEnd()}\n`);
}

const canUse = (path: string): boolean => allows(path, constants.R_OK | constants.W_OK);
const canRead = (path: string): boolean => allows(path, constants.R_OK);

function allows(path: string, access: number): boolean {
  try {
    accessSync(path, access);
    return true;
  } catch {
    return false;
  }
}
