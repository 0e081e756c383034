// SPDX-License-Identifier: GPL-2.0-only
/**
 * Vector sections about events and roots: `events` (one guest event, MMU functions recorded) and `rootcache` (the cache
 * of previous roots alone). Reads columns, sets up what the recordings had mocked, calls the port, and names what the
 * log says as the vectors do.
 */
import type { VectorRow, VectorSurface, VectorValue } from '../../src/era.ts';
import type { LogEntry } from '../../src/sim/log.ts';
import { __kvm_mmu_new_pgd, kvm_mmu_free_roots } from './mmu_roots.ts';
import { INVALID_PAGE, INVALID_PGD, type kvm_vcpu } from './types.ts';
import { fullCpuid, hex, hexOf, makeVcpu, number, plainHost } from './vectors_setup.ts';
import { kvm_handle_invpcid, kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_efer } from './x86.ts';

const BIT_63 = 2 ** 63;

/** PDPTE 0 of every table: present, and the same as KVM has cached, or another. */
const PDPTE = 1;

/** Every table of the vectors can be read, and its PDPTEs are good. */
function place_pdptes(vcpu: kvm_vcpu, tables: readonly number[], differ: boolean): void {
  const { memory } = vcpu.kvm.vm;
  for (const cr3 of tables) memory.write32(cr3 - (cr3 % 32), PDPTE);
  vcpu.walk_mmu.pdptrs[0] = PDPTE + (differ ? 0x1000 : 0);
}

/** A CR3 as hardware keeps it, and its bit 63. */
function cr3_of(digits: VectorValue | undefined): { cr3: number; noflush: boolean } {
  const value = hexOf(digits, 'a CR3');
  if (value < BIT_63) return { cr3: value, noflush: false };
  return { cr3: hexOf(String(digits).padStart(16, '0').slice(1), 'a CR3'), noflush: true };
}

/** Runs the event; returns what the vectors call `ret`. */
function run(vcpu: kvm_vcpu, row: VectorRow): number {
  const arg = hex(row, 'arg');
  switch (row.event) {
    case 'set_cr0':
      // A value with something in the high half never gets to where the port begins. v5.10.262 x86.c kvm_set_cr0
      return arg >= 2 ** 32 || kvm_set_cr0(vcpu, arg, row.flag === 1) ? 1 : 0;
    case 'set_cr3': {
      const { cr3, noflush } = cr3_of(row.arg);
      return kvm_set_cr3(vcpu, cr3, noflush) ? 1 : 0;
    }
    case 'set_cr4':
      return kvm_set_cr4(vcpu, arg) ? 1 : 0;
    case 'set_efer':
      return kvm_set_efer(vcpu, arg, row.flag === 1) ? 1 : 0;
    case 'invpcid':
      kvm_handle_invpcid(vcpu, arg, hex(row, 'invpcid_pcid'), hex(row, 'invpcid_gla'));
      return 1;
    default:
      throw new Error(`event ${JSON.stringify(row.event)} is not known`);
  }
}

/** The log in the vectors' words; null for what they do not record. */
function action({ name, detail }: LogEntry): string | null {
  switch (name) {
    case 'kvm_mmu_new_pgd':
      return `new_pgd=${detail}`;
    case 'kvm_mmu_free_roots':
      return `free_roots=${detail}`;
    case 'kvm_mmu_invpcid_gva':
      return `invpcid_gva=${detail}`;
    case 'kvm_zap_gfn_range':
      return 'zap_gfn_range_all';
    case 'kvm_mmu_reset_context':
    case 'kvm_mmu_sync_roots':
    case 'kvm_update_cpuid_runtime':
      return name.replace(/^kvm_(mmu_)?/, '');
    case 'load_pdptrs':
    case 'inject_gp':
    case 'req_tlb_flush_current':
    case 'req_mmu_reload':
      return name;
    default:
      return null;
  }
}

/** Section `events`. */
function events(row: VectorRow): VectorRow {
  const host = { ...plainHost, tdp: row.tdp === 1 ? 'ept' : 'none', maxTdpLevel: 4, cpuid: fullCpuid } as const;
  const vcpu = makeVcpu(host, 2 ** 52);
  const { registers, log } = vcpu;
  registers.cr0 = hex(row, 'cr0');
  registers.cr3 = hex(row, 'cr3');
  registers.cr4 = hex(row, 'cr4');
  registers.efer = hex(row, 'efer');
  const tables = [registers.cr3, ...(row.event === 'set_cr3' ? [cr3_of(row.arg).cr3] : [])];
  place_pdptes(vcpu, tables, row.event === 'set_cr3' && row.flag === 1);
  if (Array.isArray(row.prev_root_pgds)) {
    row.prev_root_pgds.forEach((pgd: VectorValue, i: number) => {
      vcpu.mmu.prev_roots[i]!.pgd = pgd === null ? INVALID_PGD : hexOf(pgd, 'prev_root_pgds');
    });
  }
  log.keep = true;
  log.recordCallsOnly = true;
  const ret = run(vcpu, row);
  return {
    ret,
    cr0_after: registers.cr0.toString(16),
    cr3_after: registers.cr3.toString(16),
    cr4_after: registers.cr4.toString(16),
    efer_after: registers.efer.toString(16),
    actions: log.take().flatMap((entry) => action(entry) ?? []),
  };
}

/** Notes that the root cache vectors record. */
const recorded = new Set([
  'req_load_mmu_pgd',
  'req_mmu_sync',
  'req_tlb_flush_current',
  'clear_mmio',
  'clear_write_flooding',
]);

/** `invalid` of a page role. */
const INVALID = 1 << 11;

/**
 * Section `rootcache`: a session per sequence. Pages are numbered in the order in which they were first taken as a
 * root.
 */
function rootcache(start: VectorRow): (step: VectorRow) => VectorRow {
  const tdpMmu = start.tdp_mmu === 1;
  const vcpu = makeVcpu({ ...plainHost, flushOnReuse: start.flush_on_reuse === 1 });
  const { kvm, root_mmu: mmu, log } = vcpu;
  const { pages } = kvm.vm;
  const direct = start.direct === 1;
  mmu.shadow_root_level = 4;
  mmu.root_level = number(start, 'root_level', 0, 5);
  mmu.direct_map = direct;
  log.keep = true;
  const numbers = new Map<number, number>();
  let last = 0;
  const root_of = (pgd: number, hpa: number): VectorValue => [
    pgd === INVALID_PGD ? null : pgd.toString(16),
    hpa === INVALID_PAGE ? null : numbers.get(pages.idOfFrame(hpa))!,
  ];
  /** The mock of root allocation: a valid page of this frame and role, or a new one. */
  const load = (role: number, pgd: number): void => {
    const gfn = direct ? 0 : pgd;
    let sp = tdpMmu ? (kvm.tdp_mmu_roots.find((id) => pages.role[id] === role) ?? 0) : pages.firstOf(gfn);
    if (!tdpMmu) while (sp !== 0 && pages.role[sp] !== role) sp = pages.nextOf(sp);
    if (sp === 0) {
      sp = tdpMmu ? pages.createTreePage(gfn, role) : pages.create(gfn, role);
      if (tdpMmu) kvm.tdp_mmu_roots.unshift(sp);
      // The id may have been another page's before.
      numbers.set(sp, ++last);
    }
    pages.rootCount[sp]!++;
    mmu.root_hpa = pages.frameOf(sp);
    mmu.root_pgd = direct ? 0 : pgd;
  };
  return (step) => {
    const before = new Map(numbers);
    switch (step.op) {
      case 'new_pgd':
        __kvm_mmu_new_pgd(vcpu, hex(step, 'pgd'), hex(step, 'role'), step.skip_flush === 1, step.skip_sync === 1);
        break;
      case 'load':
        if (mmu.root_hpa === INVALID_PAGE) load(hex(step, 'role'), hex(step, 'pgd'));
        break;
      case 'free_roots':
        kvm_mmu_free_roots(vcpu, mmu, hex(step, 'mask'));
        break;
      case 'mark_current_invalid':
        if (mmu.root_hpa !== INVALID_PAGE) pages.role[pages.idOfFrame(mmu.root_hpa)]! |= INVALID;
        break;
      default:
        throw new Error(`op ${JSON.stringify(step.op)}`);
    }
    const actions = log.take().flatMap(({ name, detail }): string[] => {
      if (name === 'tdp_mmu_free_root') return [`${name}=${before.get(Number(detail))}`];
      return recorded.has(name) ? [name] : [];
    });
    const [prev0, prev1, prev2] = mmu.prev_roots.map(({ pgd, hpa }) => root_of(pgd, hpa));
    const root = root_of(mmu.root_pgd, mmu.root_hpa);
    // Says how a search or a load ended; other operations have no outcome.
    const tried = step.op === 'new_pgd' || step.op === 'load';
    return {
      root_valid: tried && mmu.root_hpa !== INVALID_PAGE ? 1 : 0,
      actions,
      root,
      prev0: prev0!,
      prev1: prev1!,
      prev2: prev2!,
    };
  };
}

export const eventsRows: VectorSurface['rows'] = { events };
export const rootSessions: VectorSurface['sessions'] = { rootcache };
