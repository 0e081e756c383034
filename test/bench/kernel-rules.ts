// SPDX-License-Identifier: GPL-2.0-only
import type { BenchCounters } from './counters.ts';

/**
 * Where a kernel does other things than the C program's shadow paging, so that these counters cannot be the same. What
 * comes out of the accesses is: `sum`, `faults` and `spages` are equal everywhere.
 *
 * - A #PF that KVM hands to the guest drops the translation of its address (kvm_inject_emulated_page_fault): fewer hits.
 * - A load of CR3, or a role that changes, flushes twice: the request that goes with the new table pointer, and the load
 *   of the new root.
 * - A guest write to a shadowed table that takes an entry away flushes all translations (kvm_mmu_remote_flush_or_zap).
 * - A page fault also fills the entries around it whose guest entries are accessed (pte_prefetch), which happens where
 *   tables are shadowed under a second role.
 * - With CR0.WP clear, an entry the guest may not write becomes writable at the first write, not at the first access.
 */
export const kernelRules: Readonly<Record<string, readonly (keyof BenchCounters)[]>> = {
  'shadow-cr3': ['l1', 'l2', 'walks', 'refs', 'flushes'],
  'shadow-edit': ['l1', 'l2', 'walks', 'refs', 'flushes'],
  'shadow-wp': ['l1', 'l2', 'walks', 'refs', 'exits', 'flushes', 'fills'],
};
