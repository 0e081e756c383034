// SPDX-License-Identifier: GPL-2.0-only
import type { HostOptions } from './host.ts';

const nptLegacy = { kind: 'npt', implementation: 'legacy' } as const;
const nptTdpMmu = { kind: 'npt', implementation: 'tdp-mmu' } as const;

/** MMU kinds by what the user calls them. `npt` is both implementations, which differ most there. */
export const mmuKinds: Readonly<Record<string, readonly Omit<HostOptions, 'vendor'>[]>> = {
  shadow: [{ kind: 'shadow', implementation: null }],
  npt: [nptLegacy, nptTdpMmu],
  'npt-legacy': [nptLegacy],
  'npt-tdp-mmu': [nptTdpMmu],
  ept: [{ kind: 'ept', implementation: null }],
  'ept-legacy': [{ kind: 'ept', implementation: 'legacy' }],
  'ept-tdp-mmu': [{ kind: 'ept', implementation: 'tdp-mmu' }],
};
