// SPDX-License-Identifier: GPL-2.0-only
/**
 * Vector sections about events and roots: `events` (one guest event, MMU functions recorded) and `rootcache` (the
 * cache of previous roots alone). Reads columns, sets up what the recordings had mocked, calls the port, and names
 * what the log says as the vectors do.
 */
import type { VectorRow, VectorSurface, VectorValue } from '../../src/era.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import type { LogEntry } from '../../src/sim/log.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { __kvm_mmu_create, kvm_mmu_free_roots, kvm_mmu_new_pgd, to_shadow_page } from './mmu_roots.ts';
import { INVALID_PAGE, INVALID_PGD, kvm, kvm_vcpu } from './types.ts';
import { kvm_handle_invpcid, kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, set_efer } from './x86.ts';

// --- columns --------------------------------------------------------------------------------------------------------

function text(value: VectorValue | undefined): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} is no text`);
  return value;
}

/** Hex digits as a double; 64-bit addresses round, bit 63 of a CR3 is taken off by `cr3_of`. */
const hex_of = (value: VectorValue | undefined): number => Number.parseInt(text(value), 16);

const list_of = (value: VectorValue | undefined): readonly VectorValue[] => {
  if (!Array.isArray(value)) throw new Error(`${JSON.stringify(value)} is no list`);
  return value;
};

/** A CR3 value to be written, and its bit 63. */
function cr3_of(value: VectorValue | undefined): { cr3: number; noflush: boolean } {
  const word = BigInt(`0x${text(value)}`);
  return { cr3: Number(BigInt.asUintN(63, word)), noflush: word >> 63n === 1n };
}

const hex = (value: number): string => value.toString(16);

// --- the machine of the recordings ----------------------------------------------------------------------------------

interface MachineOptions {
  readonly tdp: boolean;
  readonly flushOnReuse: boolean;
}

/** The recordings' host: four levels, A/D bits, a guest CPUID that has everything, MAXPHYADDR 46. */
function machine({ tdp, flushOnReuse }: MachineOptions): kvm_vcpu {
  const host: Host = {
    vendor: 'vmx',
    tdp: tdp ? 'ept' : 'none',
    tdpMmu: tdp,
    forcedTdpLevel: tdp ? 4 : 0,
    maxTdpLevel: tdp ? 4 : 0,
    adBits: true,
    physBits: 46,
    maxHugePageLevel: 3,
    gbPages: true,
    encryptionMask: { lo: 0, hi: 0 },
    encryptionValue: { lo: 0, hi: 0 },
    flushOnReuse,
    cpuid: {
      maxPhyAddr: 46,
      gbPages: true,
      amd: false,
      pcid: true,
      invpcid: true,
      smep: true,
      smap: true,
      pku: true,
      la57: true,
    },
  };
  const vm = new Vm({ host, memory: new PhysicalMemory(), guestFrames: 2 ** 20, pageLimit: 10_000, reads: null });
  const owner = new kvm(vm);
  const vcpu = new kvm_vcpu(owner, new Registers(), inertCpu);
  owner.vcpus.push(vcpu);
  for (const mmu of [vcpu.root_mmu, vcpu.guest_mmu]) __kvm_mmu_create(vcpu, mmu);
  vm.log.keep = true;
  return vcpu;
}

// --- events ---------------------------------------------------------------------------------------------------------

/** Names that the vectors give to calls; `detail` says whether the logged detail belongs to the name. */
const call_names: Readonly<Record<string, { readonly name: string; readonly detail: boolean }>> = {
  kvm_mmu_reset_context: { name: 'reset_context', detail: false },
  kvm_mmu_unload: { name: 'unload', detail: false },
  kvm_init_mmu: { name: 'init_mmu', detail: false },
  load_pdptrs: { name: 'load_pdptrs', detail: false },
  kvm_mmu_new_pgd: { name: 'new_pgd', detail: true },
  kvm_mmu_free_roots: { name: 'free_roots', detail: true },
  kvm_mmu_invpcid_gva: { name: 'invpcid_gva', detail: true },
};

function event_action({ name, detail }: LogEntry): string {
  const call = call_names[name];
  if (!call) return name;
  return call.detail ? `${call.name}=${detail}` : call.name;
}

const events: VectorSurface['rows'][string] = (row) => {
  const vcpu = machine({ tdp: row.tdp === 1, flushOnReuse: false });
  const { registers, log } = vcpu;
  registers.cr0 = hex_of(row.cr0);
  registers.cr3 = hex_of(row.cr3);
  registers.cr4 = hex_of(row.cr4);
  registers.efer = hex_of(row.efer);
  if (row.prev_root_pgds !== null) {
    list_of(row.prev_root_pgds).forEach((pgd, i) => {
      vcpu.root_mmu.prev_roots[i] = { pgd: pgd === null ? INVALID_PGD : hex_of(pgd), hpa: INVALID_PAGE };
    });
  }
  log.recordCallsOnly = true;
  const ret = run_event(vcpu, row);
  return {
    ret,
    cr0_after: hex(registers.cr0),
    cr3_after: hex(registers.cr3),
    cr4_after: hex(registers.cr4),
    efer_after: hex(registers.efer),
    actions: log.take().map(event_action),
  };
};

const failed = (result: 'done' | 'gp'): number => (result === 'gp' ? 1 : 0);

/** Runs the event of a row. Returns what its `ret` column says. */
function run_event(vcpu: kvm_vcpu, row: VectorRow): number {
  switch (row.event) {
    case 'set_cr0':
      return failed(kvm_set_cr0(vcpu, hex_of(row.arg)));
    case 'set_cr3': {
      const { cr3, noflush } = cr3_of(row.arg);
      return failed(kvm_set_cr3(vcpu, cr3, noflush));
    }
    case 'set_cr4':
      return failed(kvm_set_cr4(vcpu, hex_of(row.arg)));
    case 'set_efer':
      return failed(set_efer(vcpu, hex_of(row.arg), row.flag === 1));
    case 'invpcid':
      return kvm_handle_invpcid(vcpu, hex_of(row.arg), hex_of(row.invpcid_pcid), hex_of(row.invpcid_gla)) === 'bugged'
        ? 0
        : 1;
    default:
      throw new Error(`event ${JSON.stringify(row.event)}`);
  }
}

// --- rootcache ------------------------------------------------------------------------------------------------------

/** hpa of a root without a shadow page, in the vectors. */
const SPECIAL_ROOT = 0x1000;

const rootcache: VectorSurface['sessions'][string] = (start) => {
  const vcpu = machine({ tdp: false, flushOnReuse: start.flush_on_reuse === 1 });
  const { kvm: owner, root_mmu: mmu, log } = vcpu;
  const { pages } = owner.vm;
  const numbers = new PageNumbers(pages, log);
  const direct = start.direct === 1;
  const root_of = (pgd: number, hpa: number): VectorValue => {
    if (hpa === INVALID_PAGE) return [pgd === INVALID_PGD ? null : hex(pgd), null];
    const sp = to_shadow_page(owner, hpa);
    return [hex(pgd), sp === 0 ? SPECIAL_ROOT : numbers.of(sp)];
  };
  /** The mock of root allocation: a valid page of this frame and role, or a new one. */
  const load = (role: number, pgd: number): void => {
    const gfn = direct ? 0 : pgd;
    let sp = pages.firstOf(gfn);
    while (sp !== 0 && pages.role[sp] !== role) sp = pages.nextOf(sp);
    if (sp === 0) sp = pages.create(gfn, role);
    pages.rootCount[sp]!++;
    log.note('root', sp);
    mmu.root.hpa = pages.frameOf(sp);
    mmu.root.pgd = direct ? 0 : pgd;
  };
  return ({ op, role, pgd, mask }) => {
    log.take();
    let result = 0;
    switch (op) {
      case 'new_pgd':
        mmu.root_role = hex_of(role);
        kvm_mmu_new_pgd(vcpu, hex_of(pgd));
        result = mmu.root.hpa === INVALID_PAGE ? 0 : 1;
        break;
      case 'load':
        if (mmu.root.hpa === INVALID_PAGE) load(hex_of(role), hex_of(pgd));
        result = 1;
        break;
      case 'load_special':
        if (mmu.root.hpa === INVALID_PAGE) mmu.root = { pgd: hex_of(pgd), hpa: pages.frameOf(mmu.pae_root) };
        result = 1;
        break;
      case 'free_roots':
        kvm_mmu_free_roots(owner, mmu, hex_of(mask));
        break;
      case 'mark_current_invalid':
        mark_invalid(vcpu);
        break;
      default:
        throw new Error(`op ${JSON.stringify(op)}`);
    }
    const { prev_roots } = mmu;
    const actions = log.take().flatMap((entry) => numbers.rootcache_action(entry));
    return {
      root_valid: result,
      actions,
      root: root_of(mmu.root.pgd, mmu.root.hpa),
      prev0: root_of(prev_roots[0]!.pgd, prev_roots[0]!.hpa),
      prev1: root_of(prev_roots[1]!.pgd, prev_roots[1]!.hpa),
      prev2: root_of(prev_roots[2]!.pgd, prev_roots[2]!.hpa),
    };
  };
};

/** `invalid` of a page role. */
const INVALID = 1 << 12;

function mark_invalid({ kvm: owner, mmu }: kvm_vcpu): void {
  if (mmu.root.hpa === INVALID_PAGE) return;
  const sp = to_shadow_page(owner, mmu.root.hpa);
  if (sp !== 0) owner.vm.pages.role[sp]! |= INVALID;
}

/** Numbers pages as the vectors do: in the order in which they were first taken as a root. */
class PageNumbers {
  readonly #numbers = new Map<number, number>();
  #last = 0;

  /** Notes the end of a page, which the store does not log. */
  constructor(pages: Vm['pages'], log: Vm['log']) {
    const destroy = pages.destroy.bind(pages);
    pages.destroy = (id) => {
      log.note('page_destroyed', id);
      destroy(id);
    };
  }

  of(id: number): number {
    return this.#numbers.get(id) ?? 0;
  }

  taken(id: number): void {
    if (!this.#numbers.has(id)) this.#numbers.set(id, ++this.#last);
  }

  /** The number of a page that is gone; its id may come again for another page. */
  gone(id: number): number {
    const number = this.of(id);
    this.#numbers.delete(id);
    return number;
  }

  rootcache_action({ name, detail }: LogEntry): string[] {
    if (name === 'root') this.taken(Number(detail));
    if (name === 'page_destroyed') this.gone(Number(detail));
    const named = name === 'clear_mmio' || name === 'clear_write_flooding' || /^req_(?!tlb_flush$)/.test(name);
    return named ? [name] : [];
  }
}

/** The sections about events. */
export const eventsRows: VectorSurface['rows'] = { events };

/** The sections about roots over time. */
export const rootSessions: VectorSurface['sessions'] = { rootcache };
