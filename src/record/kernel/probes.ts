// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import type { Abi } from './abi.ts';

/** Functions of one kernel by name: the symbol a probe can sit on, and the module it is in (null: the kernel itself). */
export type Symbols = ReadonlyMap<string, { readonly symbol: string; readonly module: string | null }>;

/** What the kernel is asked to trace. */
export interface Probes {
  /** Lines for kprobe_events. */
  readonly kprobes: readonly string[];
  /** Line for dynamic_events: kvm_mmu_get_page once more, with the role as a number. */
  readonly eventProbe: string;
  /** SYSTEM or SYSTEM/EVENT, to be enabled where the kernel has it. */
  readonly events: readonly string[];
  /** Functions that this kernel has no symbol for: another version, another vendor, or inlined. */
  readonly missing: readonly string[];
  /** Those of them that no other function stands in for: their calls do not show. */
  readonly unseen: readonly string[];
}

const GROUP = 'mmu_eras';

/** Function arguments one to five as kprobes name them. */
const [first, second, third, fourth] = ['%di', '%si', '%dx', '%cx'];

/** What a probe prints beside its own arguments: `vcpu` has a vCPU as first argument, `mmu` an MMU as second. */
type About = 'vcpu' | 'mmu' | 'roots' | 'none';

/** Functions to probe at their entry. Names are those of every version; a kernel has some of them. */
const functions: readonly (readonly [name: string, about: About, own?: string])[] = [
  ['kvm_mmu_load', 'vcpu'],
  ['kvm_mmu_unload', 'vcpu'],
  ['kvm_mmu_free_roots', 'mmu', `roots=${third}:x64`],
  ['kvm_mmu_new_pgd', 'roots', `new_pgd=${second}:x64`],
  ['kvm_mmu_new_cr3', 'roots', `new_pgd=${second}:x64`],
  ['kvm_init_mmu', 'vcpu'],
  ['kvm_mmu_reset_context', 'vcpu'],
  ['kvm_mmu_after_set_cpuid', 'vcpu'],
  ['kvm_mmu_sync_roots', 'vcpu'],
  ['kvm_mmu_sync_prev_roots', 'vcpu'],
  ['kvm_mmu_free_obsolete_roots', 'vcpu'],
  ['__kvm_mmu_refresh_passthrough_bits', 'vcpu'],
  ['mmu_alloc_root', 'vcpu', `gfn=${second}:x64 level=${fourth}:x32`],
  ['kvm_tdp_mmu_get_vcpu_root_hpa', 'vcpu'],
  ['kvm_tdp_mmu_alloc_root', 'vcpu'],
  ['mmu_free_root_page', 'none', `hpa=+0(${second}):x64`],
  ['kvm_set_cr0', 'none', `val=${second}:x64`],
  ['kvm_set_cr3', 'none', `val=${second}:x64`],
  ['kvm_set_cr4', 'none', `val=${second}:x64`],
  ['svm_set_efer', 'none', `val=${second}:x64`],
  ['vmx_set_efer', 'none', `val=${second}:x64`],
  ['kvm_mmu_invlpg', 'none', `gva=${second}:x64`],
  ['kvm_mmu_pte_write', 'none', `gpa=${second}:x64`],
  ['kvm_mmu_track_write', 'none', `gpa=${second}:x64`],
  ['kvm_handle_invpcid', 'none', `type=${second}:x64 gva=${third}:x64`],
  ['kvm_invalidate_pcid', 'none', `pcid=${second}:x64`],
  ['svm_vcpu_run', 'roots'],
  ['vmx_vcpu_run', 'roots'],
];

const events = [
  'kvm/kvm_entry',
  'kvm/kvm_exit',
  'kvm/kvm_page_fault',
  'kvm/kvm_inj_exception',
  'kvm/kvm_cr',
  'kvm/kvm_msr',
  'kvm/kvm_enter_smm',
  'kvm/kvm_smm_transition',
  'kvm/kvm_nested_vmrun',
  'kvm/kvm_nested_vmenter',
  'kvm/kvm_nested_vmexit',
  'kvmmmu',
  GROUP,
] as const;

/** Recordings have these for Intel only; on AMD kvm_set_cr3 calls the second, so it would count CR3 writes once more. */
const intelOnly: readonly string[] = ['kvm_handle_invpcid', 'kvm_invalidate_pcid'];

/** Functions that took over from one another, or of which a machine has that of its vendor. */
const alternatives: readonly (readonly string[])[] = [
  ['kvm_mmu_new_pgd', 'kvm_mmu_new_cr3'],
  ['kvm_mmu_pte_write', 'kvm_mmu_track_write'],
  ['kvm_tdp_mmu_get_vcpu_root_hpa', 'kvm_tdp_mmu_alloc_root'],
  ['svm_set_efer', 'vmx_set_efer'],
  ['svm_vcpu_run', 'vmx_vcpu_run'],
];

/** Names of all functions that some version may have. */
export const functionNames: readonly string[] = functions.map(([name]) => name);

/** The suffixes that compilers give to functions they changed. */
const suffixes = ['', '.isra.0', '.constprop.0', '.part.0'];

/** Finds the probed functions of KVM in lines of /proc/kallsyms. */
export function findSymbols(kallsyms: string): Symbols {
  const modules = new Map<string, string | null>();
  for (const [, symbol, module] of kallsyms.matchAll(/^\S+ [tT] (\S+)(?:\s+\[(\w+)\])?$/gm)) {
    modules.set(symbol!, module ?? null);
  }
  const found = functionNames.flatMap((name) => {
    const symbol = suffixes.map((suffix) => name + suffix).find((each) => modules.has(each));
    return symbol === undefined ? [] : [[name, { symbol, module: modules.get(symbol)! }] as const];
  });
  return new Map(found);
}

/** The definitions for a kernel with these offsets and symbols. UserError when entries to the guest cannot be seen. */
export function probesFor({ offsets }: Abi, symbols: Symbols): Probes {
  const intel = symbols.has('vmx_vcpu_run');
  if (!intel && !symbols.has('svm_vcpu_run')) {
    throw new UserError({
      place: '/proc/kallsyms',
      found: 'no svm_vcpu_run and no vmx_vcpu_run',
      expected: 'a kernel in which the entry to the guest is a function with a symbol',
    });
  }
  const present = functions.filter(([name]) => symbols.has(name) && (intel || !intelOnly.includes(name)));
  const missing = functionNames.filter((name) => !symbols.has(name));
  const replaced = (name: string): boolean =>
    alternatives.some((names) => names.includes(name) && names.some((each) => symbols.has(each)));
  const kprobes = present.map(([name, about, own]) => {
    const { symbol, module } = symbols.get(name)!;
    const place = module === null ? symbol : `${module}:${symbol}`;
    return [`p:${GROUP}/${name} ${place}`, own, printed(offsets, about)].filter(Boolean).join(' ');
  });
  const pages = 'role=$role:x32 gfn=$gfn:x64 created=$created:u8';
  return {
    kprobes,
    eventProbe: `e:${GROUP}/get_page_raw kvmmmu/kvm_mmu_get_page ${pages}`,
    events,
    missing,
    unseen: missing.filter((name) => !replaced(name) && (intel || !intelOnly.includes(name))),
  };
}

function printed(offsets: Abi['offsets'], about: About): string {
  if (about === 'none') return '';
  if (about === 'mmu') return mmuState(offsets, second!);
  const mmu = `+${offsets['vcpu.mmu']}(${first})`;
  const state = `vcpu=${first}:x64 ${mmuState(offsets, mmu)}`;
  return about === 'roots' ? `${state} ${previousRoots(offsets, mmu)}`.trimEnd() : state;
}

/** The MMU's address, current root and role words; `mmu` is an expression for the address. */
function mmuState(offsets: Abi['offsets'], mmu: string): string {
  const member = (name: string, type: string, ...places: (number | undefined)[]): string => {
    const place = places.find((each) => each !== undefined);
    return place === undefined ? '' : `${name}=+${place}(${mmu}):${type}`;
  };
  const walker = offsets['mmu.w'];
  const throughWalker = walker !== undefined && offsets['pagewalk.cpu_role'] !== undefined;
  return [
    `mmu=${mmu}:x64`,
    member('hpa', 'x64', offsets['mmu.root.hpa'], offsets['mmu.root_hpa']),
    member('pgd', 'x64', offsets['mmu.root.pgd'], offsets['mmu.root_pgd']),
    member('root_role', 'x32', offsets['mmu.root_role']),
    member('cpu_role', 'x64', offsets['mmu.cpu_role']),
    throughWalker ? `cpu_role=+${offsets['pagewalk.cpu_role']}(+${walker}(${mmu})):x64` : '',
    member('mmu_role', 'x64', offsets['mmu.mmu_role']),
    member('root_level', 'u8', offsets['mmu.root_level']),
    member('shadow_root_level', 'u8', offsets['mmu.shadow_root_level']),
    member('direct_map', 'u8', offsets['mmu.direct_map']),
  ]
    .filter(Boolean)
    .join(' ');
}

const previousRoots = (offsets: Abi['offsets'], mmu: string): string =>
  [0, 1, 2]
    .filter((i) => offsets[`mmu.prev_roots[${i}].hpa`] !== undefined)
    .map((i) => {
      const [pgd, hpa] = [offsets[`mmu.prev_roots[${i}].pgd`], offsets[`mmu.prev_roots[${i}].hpa`]];
      return `prev${i}=+${pgd}(${mmu}):x64 prevh${i}=+${hpa}(${mmu}):x64`;
    })
    .join(' ');
