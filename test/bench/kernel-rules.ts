// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../../src/era.ts';
import type { BenchWorkload } from './workloads.ts';

/**
 * KVM does more than plain shadow paging, and the C program does the same when told to (`--kvm`; marked in pagewalk.c):
 *
 * - A #PF that KVM hands to the guest drops the translation of its address: x86.c kvm_inject_emulated_page_fault.
 * - A load of CR3 flushes twice: as the guest asks, x86.c kvm_invalidate_pcid, and with the root, mmu.c kvm_mmu_load.
 * - A guest write to a shadowed table that takes an entry away flushes all translations: mmu.c kvm_mmu_pte_write.
 * - A page fault also fills the entries around it whose guest entries are accessed: paging_tmpl.h FNAME(pte_prefetch).
 * - With CR0.WP clear, an entry the guest may not write becomes writable at its first write: paging_tmpl.h
 *   FNAME(page_fault).
 *
 * Functions are those of e5ed0fb01004. With these five, all counters of a replay under a port are the C program's.
 */
export type Rules = 'plain' | 'kvm';

/** The rules that the C program needs to do what the machine does. */
export const rulesFor = ({ translation }: BenchWorkload): Rules => (translation === 'shadow' ? 'kvm' : 'plain');

/** Found by replaying: those of 2008 flush more often everywhere; the others flush once at a load of CR3, and at every edit. */
const first = ['base-role^', 'base-role'];
const earlier = [...first, 'role-union^', 'role-union', 'v4.20', 'v5.10'];

/** Eras with other rules, by workload. no-unload-v2 keeps its root, and what was translated by it, when CR0.WP changes. */
const otherwise: Readonly<Record<string, readonly string[]>> = {
  'shadow-1g': first,
  'shadow-cr3': earlier,
  'shadow-edit': earlier,
  'shadow-wp': [...earlier, 'no-unload-v2'],
};

/** Whether an era has these rules on a workload. */
export const hasRules = (era: Era, { name }: BenchWorkload): boolean => !otherwise[name]?.includes(era.id);
