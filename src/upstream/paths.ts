// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where KVM's x86 code and its documentation stood from 2006 to today, in the order of a diff. A merge, a release and a
 * capsule are limited to these, and only their texts are fetched by `mmu-eras upstream sync`.
 */
export const kvmPaths: readonly string[] = [
  'Documentation/kvm',
  'Documentation/virt/kvm',
  'Documentation/virtual/kvm',
  'arch/x86/include/asm/kvm.h',
  'arch/x86/include/asm/kvm_host.h',
  'arch/x86/include/asm/vmx.h',
  'arch/x86/include/uapi/asm/kvm.h',
  'arch/x86/kvm',
  'drivers/kvm',
  'include/asm-x86/kvm.h',
  'include/asm-x86/kvm_host.h',
  'include/linux/kvm.h',
  'include/linux/kvm_host.h',
  'include/linux/kvm_types.h',
  'include/uapi/linux/kvm.h',
  'virt/kvm',
];

/** Whether `path` is one of `paths` or lies below one. */
export const isBelow = (path: string, paths: readonly string[]): boolean =>
  paths.some((above) => path === above || path.startsWith(above.endsWith('/') ? above : `${above}/`));

/** A path without `./` and a final slash, relative to the top of the tree. */
export const normalPath = (path: string): string => path.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
