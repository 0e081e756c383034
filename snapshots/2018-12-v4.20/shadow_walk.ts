// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/mmu.c: struct kvm_shadow_walk_iterator. Left out: the lockless variant, which differs in
 * locks only.
 */
import { direct_map, note_member, root_level, shadow_root_level } from './role.ts';
import {
  is_last_spte,
  PT_PAGE_TABLE_LEVEL,
  PT32E_ROOT_LEVEL,
  PT64_ROOT_4LEVEL,
  SHADOW_PT_INDEX,
  spte_hi,
  spte_lo,
  spte_to_pfn,
  sptep_of,
} from './spte.ts';
import type { kvm, kvm_vcpu } from './types.ts';

/** One position in the tables below a root: `sptep` is the entry of `addr` at `level`. Use as the C macro is used. */
export interface kvm_shadow_walk_iterator {
  readonly level: number;
  /** Valid after `okay()` was true. */
  readonly sptep: number;
  okay(): boolean;
  next(): void;
}

/**
 * v4.20 mmu.c:2460 shadow_walk_init_using_root
 * Hardware's PAE root (and the lm_root page above it, under nested NPT) is stepped over: the walk begins with the
 * level-2 page of the address's gigabyte, and is empty where the guest has no PDPTE.
 */
export function shadow_walk(vcpu: kvm_vcpu, root: number, addr: number): kvm_shadow_walk_iterator {
  const { mmu } = vcpu;
  note_member(mmu, 'shadow_walk_init_using_root', 'root_hpa');
  let level = shadow_root_level(mmu, 'shadow_walk_init_using_root');
  if (
    level === PT64_ROOT_4LEVEL &&
    root_level(mmu, 'shadow_walk_init_using_root') < PT64_ROOT_4LEVEL &&
    direct_map(mmu, 'shadow_walk_init_using_root') === 0
  ) {
    level--;
  }
  let shadow_addr = root;
  if (level === PT32E_ROOT_LEVEL) {
    if (root !== mmu.root_hpa || mmu.pae_root === null) throw new Error('a PAE root is never a cached root');
    note_member(mmu, 'shadow_walk_init_using_root', 'pae_root');
    shadow_addr = mmu.pae_root[Math.floor(addr / 2 ** 30) % 4]!;
    level = shadow_addr > 0 ? level - 1 : 0;
  }
  return new Iterator(vcpu.kvm, addr, shadow_addr, level);
}

class Iterator implements kvm_shadow_walk_iterator {
  level: number;
  sptep = -1;
  readonly #kvm: kvm;
  readonly #addr: number;
  #shadow_addr: number;

  constructor(kvm: kvm, addr: number, shadow_addr: number, level: number) {
    this.#kvm = kvm;
    this.#addr = addr;
    this.#shadow_addr = shadow_addr;
    this.level = level;
  }

  /** v4.20 mmu.c shadow_walk_okay */
  okay(): boolean {
    if (this.level < PT_PAGE_TABLE_LEVEL) return false;
    const sp = this.#kvm.vm.pages.idOfFrame(this.#shadow_addr);
    if (sp === 0) throw new Error(`shadow walk: frame ${this.#shadow_addr} at level ${this.level} is no table`);
    this.sptep = sptep_of(sp, SHADOW_PT_INDEX(this.#addr, this.level));
    return true;
  }

  /** v4.20 mmu.c shadow_walk_next */
  next(): void {
    const lo = spte_lo(this.#kvm, this.sptep);
    if (is_last_spte(lo, this.level)) {
      this.level = 0;
      return;
    }
    this.#shadow_addr = spte_to_pfn(lo, spte_hi(this.#kvm, this.sptep));
    this.level--;
  }
}
