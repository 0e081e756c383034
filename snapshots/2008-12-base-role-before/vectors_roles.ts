// SPDX-License-Identifier: GPL-2.0-only
/** Role, root, walk and entry vectors. Nothing here knows how the MMU works: it sets up, calls, and reads out. */
import type { VectorRow, VectorValue } from '../../src/era.ts';
import { hex32, nonZero } from '../../src/role/layout.ts';
import { type Cpu, inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { init_kvm_mmu, start_role } from './calc.ts';
import { FAULT_EMULATE, mmu_page_fault } from './mmu_fault.ts';
import { kvm_mmu_get_page } from './mmu_pages.ts';
import { kvm_mmu_load, kvm_mmu_reset_context, pae_root_page } from './mmu_roots.ts';
import { paging32, paging64 } from './paging_tmpl.ts';
import { kvm_mmu_page_role } from './role.ts';
import { type kvm_shadow_walk, walk_shadow } from './shadow_walk.ts';
import { spte_hi, spte_lo } from './spte.ts';
import { PT64_ROOT_LEVEL } from './spte_format.ts';
import { INVALID_PAGE, kvm, kvm_vcpu, NO_SPTE } from './types.ts';
import { vcpu_enter_guest } from './x86.ts';

export const num = (row: VectorRow, column: string): number => {
  const value = row[column];
  if (typeof value !== 'number') throw new Error(`column ${column} is no number`);
  return value;
};
export const hexOf = (value: VectorValue | undefined): number => {
  if (typeof value !== 'string' || !/^[0-9a-f]+$/.test(value)) throw new Error(`${String(value)} is no hex number`);
  return Number.parseInt(value, 16);
};
export const hex = (row: VectorRow, column: string): number => hexOf(row[column]);
export const bit = (row: VectorRow, column: string, mask: number): number => (num(row, column) !== 0 ? mask : 0);

const zero = { lo: 0, hi: 0 };

/** Only vendor, kind of paging and depth matter to this era. */
export const hostOf = (vendor: Host['vendor'], tdp: Host['tdp'], level: number): Host => ({
  vendor,
  tdp,
  tdpMmu: false,
  forcedTdpLevel: tdp === 'npt' ? level : 0,
  maxTdpLevel: tdp === 'none' ? 0 : level,
  adBits: false,
  physBits: 40,
  maxHugePageLevel: 1,
  gbPages: false,
  encryptionMask: zero,
  encryptionValue: zero,
  flushOnReuse: false,
  cpuid: {
    maxPhyAddr: 40,
    gbPages: false,
    amd: vendor === 'svm',
    pcid: false,
    invpcid: false,
    smep: false,
    smap: false,
    pku: false,
    la57: false,
  },
});

/** Rows with `tdp` and `tdp_level`: NPT, as only it comes in both depths. */
const rowHost = (row: VectorRow): Host => hostOf('svm', num(row, 'tdp') ? 'npt' : 'none', num(row, 'tdp_level'));

interface Bench {
  readonly vm: Vm;
  readonly vcpu: kvm_vcpu;
}

/** A VM of `frames` frames with one vCPU; `setUp` puts registers in place before the MMU is set up. */
export function bench(
  host: Host,
  frames: number,
  setUp: (registers: Registers) => void,
  options: { readonly cpu?: Cpu; readonly pageLimit?: number } = {},
): Bench {
  const { cpu = inertCpu, pageLimit = 1000 } = options;
  const vm = new Vm({ host, memory: new PhysicalMemory(), guestFrames: frames, pageLimit, reads: null });
  const registers = new Registers();
  setUp(registers);
  const machine = new kvm(vm);
  const vcpu = new kvm_vcpu(machine, registers, cpu);
  machine.vcpus.push(vcpu);
  init_kvm_mmu(vcpu);
  return { vm, vcpu };
}

/** Registers of a guest with 0, 2, 3 or 4 levels of tables. */
function enterMode(registers: Registers, mode: number): void {
  registers.cr0 = mode === 0 ? CR0.PE : (CR0.PE | CR0.PG) >>> 0;
  registers.cr4 = mode >= 3 ? CR4.PAE : 0;
  registers.efer = mode === 4 ? EFER.LME | EFER.LMA : 0;
}

/** A role word and its fields, under names with a prefix. */
function decoded(name: string, prefix: string, role: number): Record<string, VectorValue> {
  const fields = nonZero(kvm_mmu_page_role, role);
  const names = ['glevels', 'level', 'quadrant', 'metaphysical', 'access', 'invalid'];
  return {
    [name]: hex32(role),
    ...Object.fromEntries(names.map((field) => [`${prefix}_${field}`, fields[field] ?? 0])),
  };
}

/** `paging64_page_fault` → `paging64`. */
const family = (handler: string): string => handler.slice(0, handler.indexOf('_'));

export function init(row: VectorRow): VectorRow {
  const { vcpu } = bench(rowHost(row), 1, (registers) => {
    registers.cr0 = (CR0.PE | bit(row, 'cr0_pg', CR0.PG) | bit(row, 'cr0_wp', CR0.WP)) >>> 0;
    registers.cr4 = bit(row, 'cr4_pae', CR4.PAE) | bit(row, 'cr4_pse', CR4.PSE) | bit(row, 'cr4_pge', CR4.PGE);
    registers.efer = bit(row, 'efer_lme', EFER.LME) | bit(row, 'efer_lma', EFER.LMA) | bit(row, 'efer_nx', EFER.NXE);
  });
  const { mmu } = vcpu;
  return {
    arch_valid: Number(arch_valid(row)),
    root_level: mmu.root_level,
    shadow_root_level: mmu.shadow_root_level,
    ...decoded('base_role', 'base', start_role(mmu.root_level)),
    new_cr3: family(mmu.new_cr3),
    page_fault: family(mmu.page_fault),
    gva_to_gpa: family(mmu.gva_to_gpa),
    sync_page: family(mmu.sync_page),
    prefetch_page: family(mmu.prefetch_page),
    invlpg: family(mmu.invlpg),
    root_valid: Number(mmu.root_hpa !== INVALID_PAGE),
  };
}

/** Whether a CPU can be in that state: with paging LMA = LME, and only with PAE; without paging no LMA. */
function arch_valid(row: VectorRow): boolean {
  const lma = num(row, 'efer_lma');
  if (num(row, 'cr0_pg') === 0) return lma === 0;
  return lma === num(row, 'efer_lme') && (lma === 0 || num(row, 'cr4_pae') === 1);
}

export function mode_sequence(row: VectorRow): VectorRow {
  const { vcpu } = bench(hostOf('svm', num(row, 'tdp') ? 'npt' : 'none', 4), 1, () => {});
  const roles = [0, 1, 2].map((i) => {
    enterMode(vcpu.registers, num(row, `mode_${i}`));
    vcpu.cr0 = vcpu.registers.cr0;
    kvm_mmu_reset_context(vcpu);
    return hex32(start_role(vcpu.mmu.root_level));
  });
  return { base_role_0: roles[0]!, base_role_1: roles[1]!, base_role_2: roles[2]! };
}

export function child(row: VectorRow): VectorRow {
  const { vm, vcpu } = bench(rowHost(row), 0x100000, (registers) => enterMode(registers, num(row, 'mode')));
  const sp = kvm_mmu_get_page(vcpu, {
    gfn: 0x100,
    gaddr: hex(row, 'gaddr'),
    level: num(row, 'level'),
    metaphysical: num(row, 'metaphysical') !== 0,
    access: num(row, 'access'),
    parent_pte: NO_SPTE,
  });
  return decoded('role', 'role', vm.pages.role[sp]!);
}

export function roots(row: VectorRow): VectorRow {
  const { vcpu } = bench(rowHost(row), 0x100000, (registers) => {
    enterMode(registers, num(row, 'mode'));
    registers.cr3 = hex(row, 'cr3');
    for (let i = 0; i < 4; i++) {
      if (num(row, 'pdpte_present') & (1 << i)) registers.pdptes[2 * i] = ((0x100 + i) << 12) | 1;
    }
  });
  kvm_mmu_load(vcpu);
  const { root_level, shadow_root_level } = vcpu.mmu;
  return { root_level, shadow_root_level, roots: rootsOf(vcpu) };
}

/** `[gfn, role, root_count]` of each root, null for an empty PAE slot; null without roots. */
export function rootsOf(vcpu: kvm_vcpu): VectorValue {
  const { kvm, mmu } = vcpu;
  const { pages } = kvm.vm;
  if (mmu.root_hpa === INVALID_PAGE) return null;
  const ids =
    mmu.shadow_root_level === PT64_ROOT_LEVEL
      ? [pages.idOfFrame(mmu.root_hpa)]
      : [0, 1, 2, 3].map((i) => pae_root_page(vcpu, i));
  return ids.map((id) => (id === 0 ? null : [pages.gfn[id]!, hex32(pages.role[id]!), pages.rootCount[id]!]));
}

/** Frames of the tables that `walk` and `spte` rows build, by level, and what their leaf maps: a page or a large page. */
const TABLE = [0, 0x13, 0x12, 0x11, 0x10];
const LEAF_GFN = 0x20;
const LARGE_GFN = 0x400;
/** Second page of the first table, so that an index within a large page shows. */
const GVA = 0x1000;
const ALL = 0x67;

/** One guest entry of either size. */
function writeEntry(vm: Vm, mode: number, level: number, entry: { readonly lo: number; readonly nx: number }): void {
  const bits = mode === 2 ? 10 : 9;
  const index = Math.floor(GVA / 2 ** (12 + bits * (level - 1))) % 2 ** bits;
  const at = TABLE[level]! * 4096 + index * (mode === 2 ? 4 : 8);
  if (mode === 2) vm.memory.write32(at, entry.lo);
  else vm.memory.write64(at, entry.lo, entry.nx ? 0x80000000 : 0);
}

/** Rights of an entry from the columns `<name>_w`, `<name>_u`, `<name>_nx`, with P and A set. */
const rightsOf = (row: VectorRow, name: string): { lo: number; nx: number } => ({
  lo: 0x21 | bit(row, `${name}_w`, 2) | bit(row, `${name}_u`, 4),
  nx: num(row, `${name}_nx`),
});

/** A guest whose entry above the leaf has the `upper_*` rights; the root entry where a large page has one. */
function guestWithTables(row: VectorRow, mode: number, large: boolean): Bench {
  const made = bench(hostOf('svm', 'none', 0), 0x800, (registers) => {
    enterMode(registers, mode);
    registers.cr0 = (registers.cr0 | bit(row, 'cr0_wp', CR0.WP)) >>> 0;
    registers.efer |= bit(row, 'efer_nx', EFER.NXE);
    if (mode === 2 && large) registers.cr4 |= CR4.PSE;
    registers.cr3 = TABLE[mode === 3 ? 2 : mode]! * 4096;
    registers.pdptes[0] = (TABLE[2]! << 12) | 1;
  });
  const leaf = large ? 2 : 1;
  const upper = mode === 4 ? 4 : 2;
  for (let level = mode === 3 ? 2 : mode; level > leaf; level--) {
    const rights = level === upper ? rightsOf(row, 'upper') : { lo: ALL, nx: 0 };
    writeEntry(made.vm, mode, level, { lo: (TABLE[level - 1]! << 12) | rights.lo, nx: rights.nx });
  }
  return made;
}

/** Vectors number accesses write + 2·user + 4·fetch. */
const accessOf = (i: number) => ({ write: (i & 1) !== 0, user: (i & 2) !== 0, fetch: (i & 4) !== 0 });

export function walk(row: VectorRow): VectorRow {
  const mode = num(row, 'mode');
  const large = num(row, 'large') !== 0;
  const { vm, vcpu } = guestWithTables(row, mode, large);
  const { lo, nx } = rightsOf(row, 'leaf');
  const present = num(row, 'leaf_p') !== 0 ? 1 : 0;
  const target = large ? (LARGE_GFN << 12) | 0x80 : LEAF_GFN << 12;
  writeEntry(vm, mode, large ? 2 : 1, { lo: target | (lo & ~1) | present, nx });
  const tmpl = mode === 2 ? paging32 : paging64;
  const error_codes = [0, 1, 2, 3, 4, 5, 6, 7].map((i) =>
    tmpl.walk_addr(vcpu, GVA, accessOf(i)) ? -1 : vcpu.walker.error_code,
  );
  if (!tmpl.walk_addr(vcpu, GVA, accessOf(0)))
    return { error_codes, level: -1, pt_access: -1, pte_access: -1, gfn: -1 };
  const { level, pt_access, pte_access, gfn } = vcpu.walker;
  return { error_codes, level, pt_access, pte_access, gfn };
}

/** Finds the shadow PTE of an address. */
class LeafFinder implements kvm_shadow_walk {
  sptep = NO_SPTE;

  entry(_vcpu: kvm_vcpu, _addr: number, sptep: number, level: number): number {
    this.sptep = sptep;
    return level === 1 ? 1 : 0;
  }
}

export function spte(row: VectorRow): VectorRow {
  const { vm, vcpu } = guestWithTables({ ...row, upper_nx: 0 }, 4, false);
  const { lo, nx } = rightsOf(row, 'leaf');
  writeEntry(vm, 4, 1, { lo: (LEAF_GFN << 12) | lo | bit(row, 'leaf_d', 0x40), nx });
  const gpteDirty = (): number => (vm.memory.read32(TABLE[1]! * 4096 + 8) >>> 6) & 1;
  vcpu_enter_guest(vcpu);
  const { write, user, fetch } = accessOf(num(row, 'access'));
  const result = mmu_page_fault(vcpu, GVA, (write ? 2 : 0) | (user ? 4 : 0) | (fetch ? 16 : 0));
  const ret = Number(result === FAULT_EMULATE);
  if (vcpu.exception.pending) {
    const injected_error_code = vcpu.exception.error_code;
    return { injected_error_code, ret, spte_low7: -1, spte_nx: -1, gpte_dirty_after: gpteDirty() };
  }
  const finder = new LeafFinder();
  walk_shadow(finder, vcpu, GVA);
  return {
    injected_error_code: -1,
    ret,
    spte_low7: spte_lo(vcpu.kvm, finder.sptep) & 0x7f,
    spte_nx: spte_hi(vcpu.kvm, finder.sptep) >>> 31,
    gpte_dirty_after: gpteDirty(),
  };
}
