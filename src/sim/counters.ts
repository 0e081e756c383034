// SPDX-License-Identifier: GPL-2.0-only

/**
 * What KVM did, counted under KVM's own names. Definitions: docs/counters.md.
 * One flat object, so that the fault path increments a field and nothing else.
 */
export class Counters {
  /** kvm_mmu_load calls: the current root was invalid at guest entry. */
  mmu_load = 0;
  mmu_unload = 0;
  /** Calls that free every root of root_mmu. */
  full_unloads = 0;
  reset_context = 0;
  init_mmu = 0;
  new_pgd = 0;
  /** Of new_pgd: no load / a load followed before the next guest entry. */
  new_pgd_hit = 0;
  new_pgd_miss = 0;
  sync_roots = 0;
  sync_prev_roots = 0;
  free_obsolete_roots = 0;
  /** Root pages taken by the older MMU; 4 for a PAE-style root. */
  roots_allocated_shadow = 0;
  /** Get-or-allocate calls of the TDP MMU. */
  roots_allocated_tdp_mmu = 0;
  get_page_new = 0;
  get_page_existing = 0;
  sync_page = 0;
  unsync_page = 0;
  zap_pages = 0;
  set_spte = 0;
  tdp_spte_changed = 0;
  fast_page_fault = 0;
  pte_write = 0;
  invlpg = 0;
  page_faults = 0;
  /** KVM's own software walks of guest tables, and the entries they read. */
  guest_walks = 0;
  guest_walk_elements = 0;
  guest_walk_errors = 0;
  /** Statistics of `struct kvm_vm_stat` that older kernels keep. */
  mmu_flooded = 0;
  mmu_pte_updated = 0;
  mmu_pde_zapped = 0;
  mmu_recycled = 0;
  remote_tlb_flush = 0;
  tlb_flush = 0;
  tlb_flush_gva = 0;
  /** Times the root pointer was handed to hardware. */
  load_pgd = 0;
  injected_page_faults = 0;
  injected_gp = 0;
  emulations = 0;

  /** A copy that later counting does not change. */
  snapshot(): CounterValues {
    return { ...this };
  }
}

/** The counters as plain numbers, keyed by field name. */
export type CounterValues = { readonly [K in keyof Counters as Counters[K] extends number ? K : never]: number };

/** Slots in which a tally looks for a key before it asks its map: a power of two. */
const SLOTS = 64;

/** Counts keyed by a number (a u32 or small integer): roles, error codes. Few keys come again and again. */
export class Tally {
  /** Counts that are not in a slot. */
  readonly #map = new Map<number, number>();
  // The last key of each slot, and how often it came since; -1 for none.
  readonly #keys = new Float64Array(SLOTS).fill(-1);
  readonly #counts = new Int32Array(SLOTS);

  add(key: number): void {
    const slot = (Math.imul(key, 0x9e3779b1) >>> 26) & (SLOTS - 1);
    if (this.#keys[slot] !== key) {
      this.#settle(slot);
      // At once, so that keys stay in the order in which they first came.
      if (!this.#map.has(key)) this.#map.set(key, 0);
      this.#keys[slot] = key;
    }
    this.#counts[slot]!++;
  }

  /** Every key so far and its count. */
  get counts(): ReadonlyMap<number, number> {
    for (let slot = 0; slot < SLOTS; slot++) this.#settle(slot);
    return this.#map;
  }

  /** Entries in ascending order of key. */
  sorted(): [key: number, count: number][] {
    return [...this.counts.entries()].sort(([a], [b]) => a - b);
  }

  /** Moves what a slot has counted to the map. */
  #settle(slot: number): void {
    const count = this.#counts[slot]!;
    if (count === 0) return;
    const key = this.#keys[slot]!;
    this.#map.set(key, (this.#map.get(key) ?? 0) + count);
    this.#counts[slot] = 0;
  }
}
