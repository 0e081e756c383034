// SPDX-License-Identifier: GPL-2.0-only

/** Folders that a citation may leave out, the usual ones first. A path from the top of the tree stands for itself. */
const folders = [
  'arch/x86/kvm/mmu/',
  'arch/x86/kvm/',
  'arch/x86/kvm/vmx/',
  'arch/x86/kvm/svm/',
  'arch/x86/include/asm/',
  'virt/kvm/',
  'include/linux/',
];

const isWhole = (cited: string): boolean => /^(?:arch|virt|include)\//.test(cited);

/** Where the file of a citation can stand: `mmu.h` is one of three, and `kvm_host.h` one of two. */
export const pathsOf = (cited: string): readonly string[] =>
  isWhole(cited) ? [cited] : folders.map((folder) => folder + cited);

const ofMmu =
  /^(?:mmu\.c|mmu_internal\.h|mmutrace\.h|page_track\.[ch]|paging_tmpl\.h|spte\.[ch]|tdp_iter\.[ch]|tdp_mmu\.[ch])$/;

/** Where the file of a citation stands, without a tree to look into. `flat`: before v5.8, which made the folder mmu/. */
export function likelyPath(cited: string, flat: boolean): string {
  if (isWhole(cited)) return cited;
  if (cited === 'kvm_host.h') return `arch/x86/include/asm/${cited}`;
  if (cited === 'kvm_main.c') return `virt/kvm/${cited}`;
  return ofMmu.test(cited) && !flat ? `arch/x86/kvm/mmu/${cited}` : `arch/x86/kvm/${cited}`;
}
