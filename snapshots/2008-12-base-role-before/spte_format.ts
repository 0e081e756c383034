// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 mmu.c the shadow_*_mask variables, with the values that the vendor modules hand over
 * (v2.6.29 x86.c kvm_arch_init, vmx.c vmx_init).
 *
 * Left out: memory types other than write-back (MTRRs are not modelled; RAM is write-back by default).
 */
import type { Host } from '../../src/sim/host.ts';

export const PT_PRESENT_MASK = 1 << 0;
export const PT_WRITABLE_MASK = 1 << 1;
export const PT_USER_MASK = 1 << 2;
export const PT_ACCESSED_MASK = 1 << 5;
export const PT_DIRTY_MASK = 1 << 6;
export const PT_PAGE_SIZE_MASK = 1 << 7;
export const PT_GLOBAL_MASK = 1 << 8;
/** Bit 63, in the high half. */
export const PT64_NX_MASK_HI = 0x80000000 | 0;

/** Rights as role.access keeps them. */
export const ACC_EXEC_MASK = 1;
export const ACC_WRITE_MASK = PT_WRITABLE_MASK;
export const ACC_USER_MASK = PT_USER_MASK;
export const ACC_ALL = ACC_EXEC_MASK | ACC_WRITE_MASK | ACC_USER_MASK;

export const PT_PAGE_TABLE_LEVEL = 1;
export const PT_DIRECTORY_LEVEL = 2;
export const PT32_ROOT_LEVEL = 2;
export const PT32E_ROOT_LEVEL = 3;
export const PT64_ROOT_LEVEL = 4;

/** Values and masks of shadow PTEs; signed 32-bit halves, of the low half unless the name ends in `_hi`. */
export interface spte_format {
  /** Non-present, and a fault on it comes to KVM. */
  readonly trap_nonpresent: { readonly lo: number; readonly hi: number };
  /** Non-present, and a fault on it goes to the guest right away. The same as the other without bypass_guest_pf. */
  readonly notrap_nonpresent: { readonly lo: number; readonly hi: number };
  readonly base_present_pte: number;
  readonly user_mask: number;
  readonly accessed_mask: number;
  readonly dirty_mask: number;
  readonly nx_mask_hi: number;
  readonly x_mask: number;
  readonly mt_mask: number;
}

const zero = { lo: 0, hi: 0 } as const;

/** Ordinary page tables: shadow paging and NPT. */
const ordinary: spte_format = {
  trap_nonpresent: zero,
  notrap_nonpresent: zero,
  base_present_pte: PT_PRESENT_MASK,
  user_mask: PT_USER_MASK,
  accessed_mask: PT_ACCESSED_MASK,
  dirty_mask: PT_DIRTY_MASK,
  nx_mask_hi: PT64_NX_MASK_HI,
  x_mask: 0,
  mt_mask: 0,
};

/**
 * VMX under shadow paging with its default bypass_guest_pf=1: ~0xffe is present with every reserved bit set, so that a
 * fault on it has P in its error code, and the VMCS lets only such faults exit. Zero faults straight into the guest.
 */
const bypass_guest_pf: spte_format = { ...ordinary, trap_nonpresent: { lo: ~0xffe, hi: -1 } };

/** EPT without accessed and dirty bits: readable and writable always, write-back (6 << 3), guest PAT ignored (bit 6). */
const ept: spte_format = {
  ...ordinary,
  base_present_pte: (1 << 0) | (1 << 1),
  user_mask: 0,
  accessed_mask: 0,
  dirty_mask: 0,
  nx_mask_hi: 0,
  x_mask: 1 << 2,
  mt_mask: (6 << 3) | (1 << 6),
};

/** The format in use on a host. */
export function spte_format_of({ vendor, tdp }: Host): spte_format {
  if (tdp === 'ept') return ept;
  return vendor === 'vmx' ? bypass_guest_pf : ordinary;
}
