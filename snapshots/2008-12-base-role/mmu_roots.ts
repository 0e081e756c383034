// SPDX-License-Identifier: GPL-2.0-only
/**
 * a770f6f28b1a arch/x86/kvm/mmu.c: taking, keeping and dropping roots. There is one current root and no cache of
 * previous ones: a dropped root's page stays in the hash and is found there again.
 *
 * Left out: kvm_mmu_create and alloc_mmu_pages (the one table they make is made with the MMU, types.ts).
 */
import { probe } from '../../src/sim/log.ts';
import { init_kvm_mmu, is_paging, tdp_enabled } from './calc.ts';
import { kvm_mmu_free_some_pages, kvm_mmu_get_page, kvm_mmu_zap_page } from './mmu_pages.ts';
import { kvm_sync_page, mmu_sync_children } from './mmu_sync.ts';
import { page_role, root_level, shadow_root_level } from './role.ts';
import { set_shadow_pte, set_table_pte, spte_to_pfn, sptep_of } from './spte.ts';
import { ACC_ALL, PT_PRESENT_MASK, PT32_ROOT_LEVEL, PT32E_ROOT_LEVEL, PT64_ROOT_LEVEL } from './spte_format.ts';
import { INVALID_PAGE, type kvm_vcpu, NO_SPTE } from './types.ts';
import { kvm_mmu_flush_tlb, set_cr3 } from './x86.ts';

/** The shadow page in a PAE slot, 0 for an empty one. */
export const pae_root_page = ({ kvm, mmu }: kvm_vcpu, i: number): number =>
  kvm.vm.pages.idOfFrame(spte_to_pfn(kvm, sptep_of(mmu.pae_root, i)));

/** a770f6f28b1a mmu.c mmu_free_roots:1924 */
export const mmu_free_roots = probe(
  'mmu_free_roots',
  (vcpu: kvm_vcpu): void => {
    const { kvm, mmu, log } = vcpu;
    if (mmu.root_hpa === INVALID_PAGE) return;
    kvm.vm.counters.full_unloads++;
    log.rootLost();
    if (shadow_root_level(mmu, 'mmu_free_roots') === PT64_ROOT_LEVEL) {
      mmu_free_root_page(vcpu, kvm.vm.pages.idOfFrame(mmu.root_hpa));
    } else {
      for (let i = 0; i < 4; i++) {
        const root = pae_root_page(vcpu, i);
        if (root !== 0) mmu_free_root_page(vcpu, root);
        set_shadow_pte(kvm, sptep_of(mmu.pae_root, i), -1, -1);
      }
    }
    mmu.root_hpa = INVALID_PAGE;
  },
  { skipped: undefined },
);

function mmu_free_root_page({ kvm }: kvm_vcpu, sp: number): void {
  const { pages } = kvm.vm;
  pages.rootCount[sp]!--;
  if (pages.rootCount[sp] === 0 && page_role.invalid(kvm.sp(sp), 'mmu_free_roots') !== 0) kvm_mmu_zap_page(kvm, sp);
}

/**
 * a770f6f28b1a mmu.c mmu_alloc_roots:1959
 * A two-dimensional root too is keyed by whatever CR3 is at the moment. Without paging, and with 2-level tables, only the
 * quadrant makes the four roots different pages.
 */
function mmu_alloc_roots(vcpu: kvm_vcpu): void {
  const { kvm, mmu, registers } = vcpu;
  const { pages } = kvm.vm;
  let root_gfn = Math.floor(registers.cr3 / 4096);
  if (shadow_root_level(mmu, 'mmu_alloc_roots') === PT64_ROOT_LEVEL) {
    const sp = mmu_alloc_root(vcpu, root_gfn, { gaddr: 0, level: PT64_ROOT_LEVEL, metaphysical: tdp_enabled(kvm) });
    mmu.root_hpa = pages.frameOf(sp);
    return;
  }
  const metaphysical = !is_paging(vcpu) || tdp_enabled(kvm);
  const guest_levels = root_level(mmu, 'mmu_alloc_roots');
  for (let i = 0; i < 4; i++) {
    const slot = sptep_of(mmu.pae_root, i);
    if (guest_levels === PT32E_ROOT_LEVEL) {
      const lo = registers.pdptes[2 * i]!;
      if ((lo & PT_PRESENT_MASK) === 0) {
        set_shadow_pte(kvm, slot, 0, 0);
        continue;
      }
      // The C shifts the whole entry: bits above 51 are reserved and were checked when it was loaded.
      root_gfn = (lo >>> 12) + (registers.pdptes[2 * i + 1]! >>> 0) * 2 ** 20;
    } else if (guest_levels === 0) root_gfn = 0;
    const sp = mmu_alloc_root(vcpu, root_gfn, { gaddr: i * 2 ** 30, level: PT32_ROOT_LEVEL, metaphysical });
    set_table_pte(kvm, slot, sp, PT_PRESENT_MASK);
  }
  mmu.root_hpa = pages.frameOf(mmu.pae_root);
}

function mmu_alloc_root(
  vcpu: kvm_vcpu,
  gfn: number,
  page: { readonly gaddr: number; readonly level: number; readonly metaphysical: boolean },
): number {
  const { pages, counters } = vcpu.kvm.vm;
  const { gaddr, level, metaphysical } = page;
  const sp = kvm_mmu_get_page(vcpu, { gaddr, level, metaphysical, gfn, access: ACC_ALL, parent_pte: NO_SPTE });
  pages.rootCount[sp]!++;
  counters.roots_allocated_shadow++;
  return sp;
}

/** a770f6f28b1a mmu.c mmu_sync_roots:2007 */
function mmu_sync_roots(vcpu: kvm_vcpu): void {
  const { kvm, mmu } = vcpu;
  if (mmu.root_hpa === INVALID_PAGE) return;
  kvm.vm.counters.sync_roots++;
  if (shadow_root_level(mmu, 'mmu_sync_roots') === PT64_ROOT_LEVEL) {
    mmu_sync_children(vcpu, kvm.vm.pages.idOfFrame(mmu.root_hpa));
    return;
  }
  for (let i = 0; i < 4; i++) {
    const root = pae_root_page(vcpu, i);
    if (root !== 0) mmu_sync_children(vcpu, root);
  }
}

/** a770f6f28b1a mmu.c kvm_mmu_sync_roots:2031 */
export const kvm_mmu_sync_roots = probe('kvm_mmu_sync_roots', mmu_sync_roots, { skipped: undefined });

/** a770f6f28b1a mmu.c kvm_mmu_sync_global:2047: every unsync page whose entries are all global, whatever its root */
export const kvm_mmu_sync_global = probe(
  'kvm_mmu_sync_global',
  (vcpu: kvm_vcpu): void => {
    for (const sp of [...vcpu.kvm.oos_global_pages]) kvm_sync_page(vcpu, sp);
  },
  { skipped: undefined },
);

/** a770f6f28b1a mmu.c nonpaging_new_cr3:1815: the tables do not depend on CR3 */
export const nonpaging_new_cr3 = probe('nonpaging_new_cr3', (_vcpu: kvm_vcpu): void => {}, { skipped: undefined });

/** a770f6f28b1a mmu.c paging_new_cr3:2150 */
export const paging_new_cr3 = probe('paging_new_cr3', (vcpu: kvm_vcpu): void => mmu_free_roots(vcpu), {
  skipped: undefined,
});

/** a770f6f28b1a mmu.c kvm_mmu_reset_context:2291, with destroy_kvm_mmu:2282 */
export const kvm_mmu_reset_context = probe(
  'kvm_mmu_reset_context',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.reset_context++;
    if (vcpu.mmu.root_hpa !== INVALID_PAGE) mmu_free_roots(vcpu);
    init_kvm_mmu(vcpu);
  },
  { skipped: undefined },
);

/** a770f6f28b1a mmu.c kvm_mmu_load:2298 */
export const kvm_mmu_load = probe(
  'kvm_mmu_load',
  (vcpu: kvm_vcpu): void => {
    const { counters } = vcpu.kvm.vm;
    counters.mmu_load++;
    if (vcpu.new_cr3_seen) counters.new_pgd_miss++;
    vcpu.new_cr3_seen = false;
    kvm_mmu_free_some_pages(vcpu);
    mmu_alloc_roots(vcpu);
    mmu_sync_roots(vcpu);
    set_cr3(vcpu);
    kvm_mmu_flush_tlb(vcpu);
    vcpu.log.rootLoaded();
  },
  { skipped: undefined },
);

/** a770f6f28b1a mmu.c kvm_mmu_unload:2317 */
export const kvm_mmu_unload = probe(
  'kvm_mmu_unload',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.mmu_unload++;
    mmu_free_roots(vcpu);
  },
  { skipped: undefined },
);
