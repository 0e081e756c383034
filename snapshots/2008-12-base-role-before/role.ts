// SPDX-License-Identifier: GPL-2.0-only
import { layout, pad } from '../../src/role/layout.ts';
import { memberReader, roleReader } from '../../src/role/reads.ts';
import type { kvm_mmu, shadow_page } from './types.ts';

/** v2.6.29 arch/x86/include/asm/kvm_host.h union kvm_mmu_page_role */
export const kvm_mmu_page_role = layout(32, [
  ['glevels', 4],
  ['level', 4],
  ['quadrant', 2],
  pad(6),
  ['metaphysical', 1],
  ['access', 3],
  ['invalid', 1],
  pad(11),
]);

/** The role of one shadow page, `sp->role`. */
export const page_role = roleReader('page_role', kvm_mmu_page_role, (sp: shadow_page) => sp.kvm.vm.pages.role[sp.id]!);

/** Members of struct kvm_mmu that decide together with the role. */
export const root_level = memberReader('root_level', (mmu: kvm_mmu) => mmu.root_level);
export const shadow_root_level = memberReader('shadow_root_level', (mmu: kvm_mmu) => mmu.shadow_root_level);
