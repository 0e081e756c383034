// SPDX-License-Identifier: GPL-2.0-only
/** a770f6f28b1a arch/x86/kvm/mmu.c: the walk down the tables that KVM builds. v2.6.30 has an iterator in its place. */

import { noteMember } from '../../src/role/reads.ts';
import { tableIndex } from '../../src/sim/address-parts.ts';
import { shadow_root_level } from './role.ts';
import { child_of, spte_to_pfn, sptep_of } from './spte.ts';
import { PT_PAGE_TABLE_LEVEL, PT32E_ROOT_LEVEL } from './spte_format.ts';
import type { kvm_vcpu } from './types.ts';

/** What walk_shadow does at an entry. 0 goes on to the next level, everything else ends the walk with that result. */
export interface kvm_shadow_walk {
  entry(vcpu: kvm_vcpu, addr: number, sptep: number, level: number): number;
}

/** a770f6f28b1a mmu.c walk_shadow:1257. Nine bits of the address a level, whatever the guest's tables look like. */
export function walk_shadow(walker: kvm_shadow_walk, vcpu: kvm_vcpu, addr: number): number {
  const { kvm, mmu } = vcpu;
  const { pages } = kvm.vm;
  const by = 'walk_shadow';
  let level = shadow_root_level(mmu, by);
  noteMember(mmu, by, 'root_hpa');
  let sp = pages.idOfFrame(mmu.root_hpa);
  if (level === PT32E_ROOT_LEVEL) {
    noteMember(mmu, by, 'pae_root');
    sp = pages.idOfFrame(spte_to_pfn(kvm, sptep_of(mmu.pae_root, Math.floor(addr / 2 ** 30) % 4)));
    level--;
  }
  // An empty PAE slot. In the C the root itself is always there, as the guest was just running on it.
  if (sp === 0) return 1;
  for (; level >= PT_PAGE_TABLE_LEVEL; level--) {
    const sptep = sptep_of(sp, tableIndex(addr, level));
    const r = walker.entry(vcpu, addr, sptep, level);
    if (r !== 0) return r;
    sp = child_of(kvm, sptep);
  }
  return 0;
}
