// SPDX-License-Identifier: GPL-2.0-only
/**
 * v7.3.4 arch/x86/kvm/mmu/mmutrace.h KVM_MMU_PAGE_PRINTK: how tracepoints print a page's role.
 *
 * Left out: generation, gfn, root count and sync state, which stand around the role in the same line but are the
 * page's; and the fields the kernel does not print (cr0_wp, smap_andnot_wp, cr4_smep, guest_mode, smm).
 */
import { get } from '../../src/role/layout.ts';
import { kvm_mmu_page_role } from './role.ts';

/** Letters for read, write, user and execute, a bit of `access` each from bit 0 on. */
const access_str = (access: number): string =>
  [...'rwux'].map((letter, bit) => ((access >> bit) & 1 ? letter : '-')).join('');

/** Text of a page role, e.g. `l4 8-byte q0 direct rwux nxe ad`; `!` negates. */
export function kvm_mmu_page_role_text(role: number): string {
  const { level, has_4_byte_gpte, quadrant, direct, access, invalid, efer_nx, ad_disabled } = kvm_mmu_page_role.at;
  return [
    `l${get(role, level)}`,
    get(role, has_4_byte_gpte) ? '4-byte' : '8-byte',
    `q${get(role, quadrant)}`,
    ...(get(role, direct) ? ['direct'] : []),
    access_str(get(role, access)),
    ...(get(role, invalid) ? ['invalid'] : []),
    get(role, efer_nx) ? 'nxe' : '!nxe',
    get(role, ad_disabled) ? '!ad' : 'ad',
  ].join(' ');
}
