// SPDX-License-Identifier: GPL-2.0-only

/**
 * v2.6.29 mmu.c: there is no tracepoint for shadow pages yet. The debugging print of kvm_mmu_get_page (pgprintk,
 * compiled in with MMU_DEBUG) shows the bare word: `role %x`.
 */
export const role_text = (role: number): string => `role ${(role >>> 0).toString(16)}`;
