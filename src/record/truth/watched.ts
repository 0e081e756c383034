// SPDX-License-Identifier: GPL-2.0-only
/** What `cr_write_effect` and `guest_register_writes` of a truth.json are about: recordings and replays count the same. */

/** Functions that carry out a register write of the guest. */
export const registerWriters: Readonly<Record<string, 'cr0' | 'cr3' | 'cr4' | 'efer'>> = {
  kvm_set_cr0: 'cr0',
  kvm_set_cr3: 'cr3',
  kvm_set_cr4: 'cr4',
  svm_set_efer: 'efer',
  vmx_set_efer: 'efer',
};

/** Calls that a register write can lead to before the guest goes on. */
export const writeEffects: ReadonlySet<string> = new Set([
  'kvm_mmu_reset_context',
  'kvm_mmu_unload',
  'kvm_mmu_new_pgd',
  'kvm_mmu_free_roots',
  'kvm_init_mmu',
  '__kvm_mmu_refresh_passthrough_bits',
  'kvm_mmu_load',
  'kvm_mmu_sync_roots',
  'kvm_mmu_sync_prev_roots',
]);
