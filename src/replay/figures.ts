// SPDX-License-Identifier: GPL-2.0-only
import type { Counts } from './record.ts';

/** A counter under the name that the recordings of real kernels use. */
export interface Figure {
  readonly name: string;
  readonly group: 'roots' | 'pages' | 'faults' | 'walk cost';
  readonly value: number;
}

/** Every counter of a phase or a whole replay, in the order in which tables show them. */
export function figuresOf({ kvm, cost, entries, exits, registerWrites }: Counts): Figure[] {
  const group = (name: Figure['group'], values: Readonly<Record<string, number>>): Figure[] =>
    Object.entries(values).map(([figure, value]) => ({ name: figure, group: name, value }));
  return [
    ...group('roots', {
      mmu_load: kvm.mmu_load,
      full_unloads: kvm.full_unloads,
      mmu_unload: kvm.mmu_unload,
      reset_context: kvm.reset_context,
      init_mmu: kvm.init_mmu,
      new_pgd: kvm.new_pgd,
      'new_pgd_cached.hit': kvm.new_pgd_hit,
      'new_pgd_cached.miss': kvm.new_pgd_miss,
      sync_roots: kvm.sync_roots,
      sync_prev_roots: kvm.sync_prev_roots,
      free_obsolete_roots: kvm.free_obsolete_roots,
      roots_allocated_shadow: kvm.roots_allocated_shadow,
      roots_allocated_tdp_mmu: kvm.roots_allocated_tdp_mmu,
    }),
    ...group('pages', {
      'get_page.total': kvm.get_page_new + kvm.get_page_existing,
      'get_page.new': kvm.get_page_new,
      'get_page.existing': kvm.get_page_existing,
      sync_page: kvm.sync_page,
      unsync_page: kvm.unsync_page,
      zap_pages: kvm.zap_pages,
      set_spte: kvm.set_spte,
      tdp_spte_changed: kvm.tdp_spte_changed,
      pte_write: kvm.pte_write,
      invlpg: kvm.invlpg,
    }),
    ...group('faults', {
      page_faults: kvm.page_faults,
      fast_page_fault: kvm.fast_page_fault,
      guest_walks: kvm.guest_walks,
      guest_walk_elements: kvm.guest_walk_elements,
      emulations: kvm.emulations,
      entries,
      exits: sum(exits),
      guest_register_writes: sum(registerWrites),
    }),
    ...group('walk cost', {
      accesses: cost.accesses,
      tlb_misses: cost.tlb_misses,
      reads_guest: cost.reads_guest,
      reads_nested: cost.reads_nested,
      reads_shadow: cost.reads_shadow,
      tlb_flushes: cost.tlb_flushes,
    }),
  ];
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);
