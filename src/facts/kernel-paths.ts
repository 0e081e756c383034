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

const inMmu =
  /^(?:mmu\.c|mmu_internal\.h|mmutrace\.h|page_track\.[ch]|paging_tmpl\.h|spte\.[ch]|tdp_iter\.[ch]|tdp_mmu\.[ch])$/;
const ofVendor = /^(svm|vmx)\.[ch]$/;

/** Where the file that a port cites stands, without a tree to look into. `port` is a folder below snapshots/. */
export function pathIn(port: string, cited: string): string {
  if (isWhole(cited)) return cited;
  if (cited === 'kvm_host.h') return `arch/x86/include/asm/${cited}`;
  if (cited === 'kvm_main.c') return `virt/kvm/${cited}`;
  // All stood in one folder up to v4.20; v5.10, the next kernel that has a port, has mmu/, svm/ and vmx/.
  const isFlat = port < '2020';
  const vendor = ofVendor.exec(cited)?.[1];
  const below = isFlat ? '' : inMmu.test(cited) ? 'mmu/' : vendor === undefined ? '' : `${vendor}/`;
  return `arch/x86/kvm/${below}${cited}`;
}
