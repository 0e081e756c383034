// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { type Mode, type ModeName, modeNames, modes, moduleParameters } from './modes.ts';

/** Where this machine's kernel says how it is: /proc and /sys, or copies of them. */
export interface SystemFolders {
  readonly modules: string;
  readonly cpuinfo: string;
}

export const systemFolders: SystemFolders = { modules: '/sys/module', cpuinfo: '/proc/cpuinfo' };

/**
 * How the modules of this machine are loaded, under the name of a mode. `asked`: the mode that the user wants, undefined for
 * whatever it is. UserError when KVM is not loaded, or in another way than asked.
 */
export function loadedMode(asked: ModeName | undefined, folders = systemFolders): ModeName {
  const loaded = readMode(folders);
  const same = (mode: Mode): boolean =>
    mode.vendor === loaded.vendor &&
    mode.twoDimensional === loaded.twoDimensional &&
    mode.la57 === loaded.la57 &&
    (mode.tdpMmu === null || mode.tdpMmu === loaded.tdpMmu);
  // Names without a word on the TDP MMU come first: run-info.txt has its parameter.
  const name = modeNames.find((each) => same(modes[each]))!;
  if (asked === undefined || same(modes[asked])) return asked ?? name;
  const { kvm, vendor } = moduleParameters(modes[asked]);
  const module = `kvm_${modes[asked].vendor}`;
  throw new UserError({
    place: `--mode ${asked}`,
    found: `KVM is loaded as in mode ${name} here`,
    expected: 'the mode that it is loaded in, or no --mode',
    suggestion: `modprobe -r kvm_${loaded.vendor} kvm; ${`modprobe kvm ${kvm}`.trim()}; modprobe ${module} ${vendor}`,
  });
}

function readMode({ modules, cpuinfo }: SystemFolders): Mode {
  const npt = parameter(modules, 'kvm_amd', 'npt');
  const ept = parameter(modules, 'kvm_intel', 'ept');
  if (npt === null && ept === null) {
    throw new UserError({
      place: modules,
      found: 'neither kvm_amd nor kvm_intel is loaded',
      expected: 'one of them',
      suggestion: 'modprobe kvm_amd or kvm_intel; or --via qemu --kernel linux-image-….deb',
    });
  }
  return {
    vendor: npt === null ? 'intel' : 'amd',
    twoDimensional: (npt ?? ept) === true,
    tdpMmu: parameter(modules, 'kvm', 'tdp_mmu'),
    la57: / la57( |$)/m.test(readFileSync(cpuinfo, 'latin1')),
  };
}

/** A boolean module parameter, null when the module is not loaded or has none of that name. */
function parameter(folder: string, module: string, name: string): boolean | null {
  const file = join(folder, module, 'parameters', name);
  if (!existsSync(file)) return null;
  return ['Y', '1'].includes(readFileSync(file, 'latin1').trim());
}
