// SPDX-License-Identifier: GPL-2.0-only

/** How KVM's modules are loaded for a recording. */
export interface Mode {
  readonly vendor: 'amd' | 'intel';
  /** Two-dimensional paging: kvm_amd.npt or kvm_intel.ept. */
  readonly twoDimensional: boolean;
  /** kvm.tdp_mmu, null: the kernel's default. */
  readonly tdpMmu: boolean | null;
  /** Whether the CPU has 5-level paging; the kernel below the guest then uses it. */
  readonly la57: boolean;
}

const amd = { vendor: 'amd', twoDimensional: true, tdpMmu: null, la57: false } as const satisfies Mode;

/** Modes by the name that a recording's folder has; docs/parity.md has rows for them. */
export const modes = {
  npt: amd,
  shadow: { ...amd, twoDimensional: false },
  'npt-legacy': { ...amd, tdpMmu: false },
  'npt-tdpmmu': { ...amd, tdpMmu: true },
  'npt-la57': { ...amd, la57: true },
  'shadow-la57': { ...amd, twoDimensional: false, la57: true },
  ept: { ...amd, vendor: 'intel' },
  'ept-shadow': { ...amd, vendor: 'intel', twoDimensional: false },
  'ept-la57': { ...amd, vendor: 'intel', la57: true },
  'ept-shadow-la57': { ...amd, vendor: 'intel', twoDimensional: false, la57: true },
} as const satisfies Record<string, Mode>;

export type ModeName = keyof typeof modes;
export const modeNames = Object.keys(modes) as readonly ModeName[];

/** Lines `MODULE.ko PARAMETERS` of a mode's own parameters; the modules are kvm and kvm-amd or kvm-intel. */
export function moduleParameters({ vendor, twoDimensional, tdpMmu }: Mode): { kvm: string; vendor: string } {
  const paging = `${vendor === 'amd' ? 'npt' : 'ept'}=${twoDimensional ? 1 : 0}`;
  return {
    kvm: tdpMmu === null ? '' : `tdp_mmu=${tdpMmu ? 1 : 0}`,
    vendor: `${paging} nested=${vendor === 'amd' ? 1 : 0}`,
  };
}
