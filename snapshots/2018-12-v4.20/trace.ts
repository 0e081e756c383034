// SPDX-License-Identifier: GPL-2.0-only
import { get } from '../../src/role/layout.ts';
import { kvm_mmu_page_role } from './role.ts';

const access_str = ['---', '--x', 'w--', 'w-x', '-u-', '-ux', 'wu-', 'wux'] as const;
const at = kvm_mmu_page_role.at;

/**
 * v4.20 arch/x86/kvm/mmutrace.h KVM_MMU_PAGE_PRINTK: the role part of a page, without generation, gfn and counts.
 * cr0_wp, smep_andnot_wp, smap_andnot_wp, guest_mode and smm are not printed, so one text can stand for several roles.
 */
export function roleText(role: number): string {
  const flag = (field: (typeof at)['direct'], text: string): string => (get(role, field) !== 0 ? text : '');
  return [
    `l${get(role, at.level)}${flag(at.cr4_pae, ' pae')}`,
    `q${get(role, at.quadrant)}${flag(at.direct, ' direct')}`,
    `${access_str[get(role, at.access)]}${flag(at.invalid, ' invalid')}`,
    `${get(role, at.nxe) !== 0 ? '' : '!'}nxe`,
    `${flag(at.ad_disabled, '!')}ad`,
  ].join(' ');
}
