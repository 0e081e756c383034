// SPDX-License-Identifier: GPL-2.0-only

/** How often each name came. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  sum(names: readonly string[]): number {
    return names.reduce((sum, name) => sum + this.get(name), 0);
  }

  total(leftOut: readonly string[] = []): number {
    return [...this.#counts].reduce((sum, [name, count]) => sum + (leftOut.includes(name) ? 0 : count), 0);
  }

  record(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}

/** What is counted during one phase, or the whole run. */
export class Counts {
  /** Tracepoints and probed functions by name. */
  readonly events = new Tally();
  readonly pages = new Tally();
  readonly newByRole = new Tally();
  readonly existingByRole = new Tally();
  readonly rawRoles = new Tally();
  readonly zappedByRole = new Tally();
  readonly faults = new Tally();
  readonly exits = new Tally();
  readonly injected = new Tally();
  readonly msrs = new Tally();
  readonly crExits = new Tally();
  readonly registerWrites = new Tally();
  readonly writeEffects = new Tally();
  readonly newPgd = new Tally();
  /** Registers at the beginning of a phase, as its marker gives them. */
  start: Record<string, string> | undefined;
}

export const entryEvents: readonly string[] = ['svm_vcpu_run', 'vmx_vcpu_run'];
/** Exits that the host's own interrupts make, on AMD and Intel. */
const hostExits = ['interrupt', 'nmi', 'intr', 'EXIT_INTR', 'EXIT_NMI', 'EXTERNAL_INTERRUPT', 'PREEMPTION_TIMER'];

/** Fields of truth.json that are the number of one event, or of several that are one thing in different versions. */
const eventFields: readonly (readonly [field: string, ...events: string[]])[] = [
  ['mmu_load', 'kvm_mmu_load'],
  ['full_unloads', 'full_unload'],
  ['mmu_unload', 'kvm_mmu_unload'],
  ['mmu_free_roots_calls', 'kvm_mmu_free_roots'],
  ['root_pages_freed', 'mmu_free_root_page'],
  ['reset_context', 'kvm_mmu_reset_context'],
  ['init_mmu', 'kvm_init_mmu'],
  ['new_pgd', 'kvm_mmu_new_pgd'],
  ['roots_allocated_shadow', 'mmu_alloc_root'],
  ['roots_allocated_tdp_mmu', 'kvm_tdp_mmu_get_vcpu_root_hpa', 'kvm_tdp_mmu_alloc_root'],
  ['sync_roots', 'kvm_mmu_sync_roots'],
  ['sync_prev_roots', 'kvm_mmu_sync_prev_roots'],
  ['free_obsolete_roots', 'kvm_mmu_free_obsolete_roots'],
  ['refresh_passthrough_bits', '__kvm_mmu_refresh_passthrough_bits'],
  ['sync_page', 'kvm_mmu_sync_page'],
  ['unsync_page', 'kvm_mmu_unsync_page'],
  ['zap_pages', 'kvm_mmu_prepare_zap_page'],
  ['set_spte', 'kvm_mmu_set_spte'],
  ['tdp_spte_changed', 'kvm_tdp_mmu_spte_changed'],
  ['fast_page_fault', 'fast_page_fault'],
  ['pte_write', 'kvm_mmu_pte_write', 'kvm_mmu_track_write'],
  ['invlpg', 'kvm_mmu_invlpg'],
  ['guest_walks', 'kvm_mmu_pagetable_walk'],
  ['guest_walk_elements', 'kvm_mmu_paging_element'],
  ['guest_walk_errors', 'kvm_mmu_walker_error'],
  ['entries', ...entryEvents],
];

/** Fields that only Intel runs have, and only where they are not zero. */
const intelFields: readonly (readonly [field: string, event: string])[] = [
  ['handle_invpcid', 'kvm_handle_invpcid'],
  ['invalidate_pcid', 'kvm_invalidate_pcid'],
];

/** A block of truth.json. */
export type Block = Record<string, number | Record<string, number | string>>;

/** The block of a whole run: every field, zero or not. */
export function totalBlock(counts: Counts): Block {
  const { events, faults, exits, crExits } = counts;
  const block: Block = Object.fromEntries(eventFields.map(([field, ...names]) => [field, events.sum(names)]));
  Object.assign(block, {
    new_pgd_cached: counts.newPgd.record(),
    zap_by_role: counts.zappedByRole.record(),
    page_faults: faults.total(),
    page_faults_by_error: faults.record(),
    injected: counts.injected.record(),
    exits: exits.record(),
    exits_guest_caused: exits.total(hostExits),
    guest_register_writes: counts.registerWrites.record(),
    msr: counts.msrs.record(),
    cr_write_effect: counts.writeEffects.record(),
    get_page: counts.pages.record(),
    get_page_new_by_role: counts.newByRole.record(),
    get_page_existing_by_role: counts.existingByRole.record(),
    get_page_raw_roles: counts.rawRoles.record(),
  });
  if (crExits.total() > 0) block.cr_exits = crExits.record();
  if (events.sum(intelFields.map(([, event]) => event)) > 0) {
    for (const [field, event] of intelFields) block[field] = events.get(event);
  }
  return block;
}

/** The block of a phase: what is zero is left out. */
export function phaseBlock(counts: Counts): Block {
  const isSomething = (value: Block[string]): boolean =>
    typeof value === 'number' ? value !== 0 : Object.keys(value).length > 0;
  const block: Block = Object.fromEntries(Object.entries(totalBlock(counts)).filter(([, value]) => isSomething(value)));
  if (counts.start) block.guest_state_at_phase_start = counts.start;
  return block;
}
