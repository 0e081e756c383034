// SPDX-License-Identifier: GPL-2.0-only
/**
 * Vector sections about events and roots: `events` (one guest event, MMU functions recorded), `rootcache` (the cache
 * of previous roots alone) and `sequences` (guest events with entries in between). Reads columns, sets up what the
 * recordings had mocked, calls the port, and names what the log says as the vectors do.
 */
import type { VectorRow, VectorSurface, VectorValue } from '../../src/era.ts';
import { hex32 } from '../../src/role/layout.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import type { LogEntry } from '../../src/sim/log.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { kvm_init_mmu, kvm_mmu_after_set_cpuid } from './calc.ts';
import { kvm_mmu_commit_zap_page, kvm_mmu_prepare_zap_page, kvm_mmu_zap_all_fast } from './mmu_pages.ts';
import { __kvm_mmu_create, __kvm_mmu_update_root, kvm_mmu_free_roots, to_shadow_page } from './mmu_roots.ts';
import { enter_svm_guest_mode, nested_svm_vmexit } from './nested_svm.ts';
import { nested_vmx_enter_non_root_mode, nested_vmx_restore_host_state, nested_vmx_vmexit } from './nested_vmx.ts';
import { em_rsm, enter_smm, kvm_smm_changed } from './smm.ts';
import { kvm_tdp_mmu_put_root } from './tdp_mmu.ts';
import { INVALID_PAGE, INVALID_PGD, KVM_REQ, kvm, kvm_vcpu } from './types.ts';
import {
  __set_sregs,
  is_pae_paging,
  kvm_handle_invpcid,
  kvm_make_request,
  kvm_set_cr0,
  kvm_set_cr3,
  kvm_set_cr4,
  kvm_vcpu_reset,
  load_pdptrs,
  pending_requests,
  set_efer,
  vcpu_enter_guest,
} from './x86.ts';

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
  readonly vendor: Host['vendor'];
  readonly tdp: boolean;
  readonly tdpMmu: boolean;
  readonly flushOnReuse: boolean;
}

/** The recordings' host: four levels, A/D bits, a guest CPUID that has everything, MAXPHYADDR 46. */
function machine({ vendor, tdp, tdpMmu, flushOnReuse }: MachineOptions): kvm_vcpu {
  const host: Host = {
    vendor,
    tdp: !tdp ? 'none' : vendor === 'vmx' ? 'ept' : 'npt',
    tdpMmu: tdp && tdpMmu,
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
      amd: vendor === 'svm',
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
  ignore_remote_flushes(vcpu);
  return vcpu;
}

/**
 * The recordings had no TLBs: flushing those of other vCPUs did nothing, and swallowed no flush of the current
 * context.
 */
function ignore_remote_flushes(vcpu: kvm_vcpu): void {
  let requests = 0;
  Object.defineProperty(vcpu, 'requests', {
    get: () => requests,
    set: (value: number) => {
      requests = value & ~KVM_REQ.TLB_FLUSH;
    },
  });
}

// --- events ---------------------------------------------------------------------------------------------------------

/** Names that the vectors give to calls; `detail` says whether the logged detail belongs to the name. */
const call_names: Readonly<Record<string, { readonly name: string; readonly detail: boolean }>> = {
  kvm_mmu_reset_context: { name: 'reset_context', detail: false },
  kvm_mmu_unload: { name: 'unload', detail: false },
  kvm_init_mmu: { name: 'init_mmu', detail: false },
  load_pdptrs: { name: 'load_pdptrs', detail: false },
  kvm_mmu_free_roots: { name: 'free_roots', detail: true },
  kvm_mmu_invpcid_gva: { name: 'invpcid_gva', detail: true },
  kvm_zap_gfn_range: { name: 'zap_gfn_range_all', detail: false },
};

function event_action({ name, detail }: LogEntry): string {
  const call = call_names[name];
  if (!call) return name;
  return call.detail ? `${call.name}=${detail}` : call.name;
}

/** The entries outside of `kvm_mmu_reset_context`, which `actions` does not expand. */
function outside_reset(entries: readonly LogEntry[]): LogEntry[] {
  const outside: LogEntry[] = [];
  let within = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    if (entry.depth > within) continue;
    within = entry.kind === 'call' && entry.name === 'kvm_mmu_reset_context' ? entry.depth : Number.POSITIVE_INFINITY;
    outside.push(entry);
  }
  return outside;
}

const events: VectorSurface['rows'][string] = (row) => {
  const vendor = text(row.event).startsWith('svm') ? 'svm' : 'vmx';
  const vcpu = machine({ vendor, tdp: row.tdp === 1, tdpMmu: true, flushOnReuse: false });
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
  log.expanded.add('kvm_mmu_reset_context');
  const ret = run_event(vcpu, row);
  const entries = log.take();
  return {
    ret,
    cr0_after: hex(registers.cr0),
    cr3_after: hex(registers.cr3),
    cr4_after: hex(registers.cr4),
    efer_after: hex(registers.efer),
    actions: outside_reset(entries).map(event_action),
    actions_expanded: entries.map(event_action),
  };
};

const failed = (result: 'done' | 'gp'): number => (result === 'gp' ? 1 : 0);

/** Runs the event of a row. Returns what its `ret` column says. */
function run_event(vcpu: kvm_vcpu, row: VectorRow): number {
  switch (row.event) {
    case 'set_cr0':
      vcpu.kvm.noncoherent_dma = row.flag === 1;
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
      kvm_handle_invpcid(vcpu, hex_of(row.arg), hex_of(row.invpcid_pcid), hex_of(row.invpcid_gla));
      return 1;
    case 'set_sregs':
      __set_sregs(vcpu, state_of(row.arg));
      return 0;
    case 'init':
      kvm_vcpu_reset(vcpu, true);
      return 0;
    case 'smi':
      enter_smm(vcpu);
      return 0;
    case 'smm_changed_exit':
      vcpu.is_smm = true;
      kvm_smm_changed(vcpu, false);
      return 0;
    case 'svm_vmrun_no_npt':
      enter_svm_guest_mode(vcpu, { ...state_of(row.arg), pointer: null, tag: 1 }, true);
      return 0;
    case 'vmx_vmentry_no_ept':
      vmentry_event(vcpu, row.arg);
      return 0;
    case 'vmx_vmexit_no_ept':
      vmexit_event(vcpu, row.arg);
      return 0;
    default:
      throw new Error(`event ${JSON.stringify(row.event)}`);
  }
}

const state_of = (value: VectorValue | undefined) => {
  const [cr0, cr3, cr4, efer] = list_of(value);
  return { cr0: hex_of(cr0), cr3: hex_of(cr3), cr4: hex_of(cr4), efer: hex_of(efer) };
};

/**
 * Fifth member of `arg`: 0 no VPID, 1 the VPID of before, 2 another one, 3 the one of before, but KVM has no tag for
 * it.
 */
function vmentry_event(vcpu: kvm_vcpu, arg: VectorValue | undefined): void {
  const kind = hex_of(list_of(arg)[4]);
  vcpu.nested.last_vpid = 1;
  vcpu.nested.has_vpid02 = kind !== 3;
  const tag = kind === 0 ? 0 : kind === 2 ? 2 : 1;
  nested_vmx_enter_non_root_mode(vcpu, { ...state_of(arg), pointer: null, tag }, true);
}

/** Fifth member of `arg`: whether L2 has a VPID; the others are L1's registers. */
function vmexit_event(vcpu: kvm_vcpu, arg: VectorValue | undefined): void {
  vcpu.is_guest_mode = true;
  vcpu.nested.vpid = hex_of(list_of(arg)[4]);
  Object.assign(vcpu.nested.l1, state_of(arg));
  nested_vmx_vmexit(vcpu);
}

// --- rootcache ------------------------------------------------------------------------------------------------------

/** hpa of a root without a shadow page, in the vectors. */
const SPECIAL_ROOT = 0x1000;

const rootcache: VectorSurface['sessions'][string] = (start) => {
  const vcpu = machine({ vendor: 'vmx', tdp: false, tdpMmu: false, flushOnReuse: start.flush_on_reuse === 1 });
  const { kvm: owner, root_mmu: mmu, log } = vcpu;
  const { pages } = owner.vm;
  const numbers = new PageNumbers(pages, log);
  mmu.shadow_root_level = 4;
  mmu.root_level = 4;
  mmu.direct_map = start.direct === 1;
  const direct = mmu.direct_map;
  const root_of = (pgd: number, hpa: number): VectorValue => {
    if (hpa === INVALID_PAGE) return [pgd === INVALID_PGD ? null : hex(pgd), null];
    const sp = to_shadow_page(owner, hpa);
    return [hex(pgd), sp === 0 ? SPECIAL_ROOT : numbers.of(sp)];
  };
  /** The mock of root allocation: a valid page of this frame and role, or a new one. */
  const load = (role: number, pgd: number, pae: boolean): void => {
    if (pae && !direct) {
      log.note('load_special');
      mmu.root.hpa = pages.frameOf(mmu.pae_root);
      mmu.root.pgd = pgd;
      return;
    }
    const gfn = direct ? 0 : pgd;
    let sp = pages.firstOf(gfn);
    while (sp !== 0 && pages.role[sp] !== role) sp = pages.nextOf(sp);
    if (sp === 0) sp = pages.create(gfn, role);
    pages.rootCount[sp]!++;
    log.note('root', sp);
    mmu.root.hpa = pages.frameOf(sp);
    mmu.root.pgd = direct ? 0 : pgd;
  };
  return ({ op, role, pgd, guest_levels, mask }) => {
    log.take();
    switch (op) {
      case 'new_pgd':
        mmu.root_level = Number(guest_levels);
        mmu.mmu_role.base = hex_of(role);
        __kvm_mmu_update_root(vcpu, hex_of(pgd));
        break;
      case 'load':
        if (mmu.root.hpa === INVALID_PAGE) load(hex_of(role), hex_of(pgd), guest_levels === 3);
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
      root_valid: mmu.root.hpa === INVALID_PAGE ? 0 : 1,
      actions,
      root: root_of(mmu.root.pgd, mmu.root.hpa),
      prev0: root_of(prev_roots[0]!.pgd, prev_roots[0]!.hpa),
      prev1: root_of(prev_roots[1]!.pgd, prev_roots[1]!.hpa),
      prev2: root_of(prev_roots[2]!.pgd, prev_roots[2]!.hpa),
    };
  };
};

/** `invalid` of a page role. */
const INVALID = 1 << 11;

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

  /** `alloc` for a page that is new to the vectors, `reuse` for one that they have seen. */
  taken(id: number): 'alloc' | 'reuse' {
    if (this.#numbers.has(id)) return 'reuse';
    this.#numbers.set(id, ++this.#last);
    return 'alloc';
  }

  /** The number of a page that is gone; its id may come again for another page. */
  gone(id: number): number {
    const number = this.of(id);
    this.#numbers.delete(id);
    return number;
  }

  rootcache_action({ name, detail }: LogEntry): string[] {
    switch (name) {
      case 'lookup_hit':
        return ['hit'];
      case 'lookup_miss':
        return ['miss'];
      case 'root':
        return [this.taken(Number(detail))];
      case 'page_destroyed':
        this.gone(Number(detail));
        return [];
      case 'clear_mmio':
      case 'clear_write_flooding':
      case 'load_special':
        return [name];
      default:
        return name.startsWith('req_') && name !== 'req_tlb_flush' ? [name] : [];
    }
  }
}

// --- sequences ------------------------------------------------------------------------------------------------------

/** Frames that CR3 of a sequence can point to: 0 after INIT, and five address spaces. */
const cr3_frames = [0, 0x10, 0x11, 0x12, 0x13, 0x14];

class Sequence {
  readonly vcpu: kvm_vcpu;
  readonly #mode: string;
  readonly #numbers: PageNumbers;
  /** How often the PDPTEs in each CR3 frame were rewritten. */
  readonly #versions = new Map<number, number>();
  /** Pages that the guest wrote below since they were last synced. */
  readonly #unsync = new Set<number>();
  /** TDP roots that other vCPUs hold. */
  readonly #peers: number[] = [];

  constructor(start: VectorRow) {
    this.#mode = text(start.mode);
    this.vcpu = machine({
      vendor: start.vendor === 'svm' ? 'svm' : 'vmx',
      tdp: this.#mode !== 'shadow',
      tdpMmu: this.#mode === 'tdp',
      flushOnReuse: start.flush_on_reuse === 1,
    });
    const { registers, kvm: owner, log } = this.vcpu;
    this.#numbers = new PageNumbers(owner.vm.pages, log);
    Object.assign(registers, state_of(start.start));
    for (const frame of cr3_frames) this.#write_pdptes(frame);
    kvm_init_mmu(this.vcpu);
    if (is_pae_paging(this.vcpu)) load_pdptrs(this.vcpu, registers.cr3);
    this.vcpu.requests = 0;
  }

  step({ op, args }: VectorRow): VectorRow {
    const { vcpu } = this;
    const { registers, log, root_mmu: mmu, kvm: owner } = vcpu;
    log.take();
    const ret = this.#run(text(op), list_of(args));
    const entries = log.take();
    const actions = this.#actions(entries);
    const [prev0, prev1, prev2] = mmu.prev_roots.map(({ pgd, hpa }) => this.#root(pgd, hpa));
    return {
      ret,
      cr0: hex(registers.cr0),
      cr3: hex(registers.cr3),
      cr4: hex(registers.cr4),
      efer: hex(registers.efer),
      smm: vcpu.is_smm ? 1 : 0,
      guest_mode: vcpu.is_guest_mode ? 1 : 0,
      actions,
      pending_requests: pending_requests(vcpu),
      mmu_role: hex32(mmu.mmu_role.ext) + hex32(mmu.mmu_role.base),
      root: this.#root(mmu.root.pgd, mmu.root.hpa),
      prev0: prev0!,
      prev1: prev1!,
      prev2: prev2!,
      live_pages: owner.vm.pages.used + owner.tdp_mmu_roots.length,
    };
  }

  #run(op: string, args: readonly VectorValue[]): number {
    const { vcpu } = this;
    const [arg] = args;
    switch (op) {
      case 'enter':
        vcpu_enter_guest(vcpu);
        return 0;
      case 'set_cr0':
        return failed(kvm_set_cr0(vcpu, hex_of(arg)));
      case 'set_cr3': {
        const { cr3, noflush } = cr3_of(arg);
        return failed(kvm_set_cr3(vcpu, cr3, noflush));
      }
      case 'set_cr4':
        return failed(kvm_set_cr4(vcpu, hex_of(arg)));
      case 'set_efer':
        return failed(set_efer(vcpu, hex_of(arg), false));
      case 'set_efer_host':
        return failed(set_efer(vcpu, hex_of(arg), true));
      case 'invpcid':
        kvm_handle_invpcid(vcpu, hex_of(arg), hex_of(args[1]), 0);
        return 0;
      case 'set_sregs':
        __set_sregs(vcpu, state_of(args));
        return 0;
      case 'set_cpuid':
        kvm_mmu_after_set_cpuid(vcpu);
        return 0;
      case 'init':
        kvm_vcpu_reset(vcpu, true);
        return 0;
      case 'smi':
        enter_smm(vcpu);
        return 0;
      case 'rsm':
        em_rsm(vcpu);
        return 0;
      case 'remote_flush_guest':
        kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
        return 0;
      case 'memslot_change':
        kvm_mmu_zap_all_fast(vcpu.kvm);
        return 0;
      default:
        if (!this.#nested(op, args) && !this.#mocked(op, args)) throw new Error(`op ${op}`);
        return 0;
    }
  }

  #nested(op: string, args: readonly VectorValue[]): boolean {
    const { vcpu } = this;
    switch (op) {
      case 'svm_vmrun':
        enter_svm_guest_mode(vcpu, { ...state_of(args), pointer: null, tag: 1 }, true);
        return true;
      case 'svm_vmexit':
        nested_svm_vmexit(vcpu);
        return true;
      case 'vmx_vmentry': {
        const vpid = /^vpid=([01]):(\d+):([01])$/.exec(text(args[4]));
        if (!vpid) throw new Error(`vmx_vmentry ${JSON.stringify(args)}`);
        vcpu.nested.has_vpid02 = vpid[3] === '1';
        const tag = vpid[1] === '1' ? Number(vpid[2]) : 0;
        nested_vmx_enter_non_root_mode(vcpu, { ...state_of(args), pointer: null, tag }, true);
        return true;
      }
      case 'vmx_vmexit':
        nested_vmx_vmexit(vcpu);
        return true;
      case 'vmx_vmfail_restore':
        nested_vmx_restore_host_state(vcpu);
        return true;
      default:
        return false;
    }
  }

  /** What the recordings did to the mocks: guest memory, unsync marks, other vCPUs. */
  #mocked(op: string, args: readonly VectorValue[]): boolean {
    const { vcpu } = this;
    const { pages } = vcpu.kvm.vm;
    const [first] = this.#root_pages(vcpu.root_mmu.root.hpa);
    switch (op) {
      case 'pdpt_write': {
        const frame = Math.floor(hex_of(args[0]) / 4096);
        this.#versions.set(frame, (this.#versions.get(frame) ?? 0) + 1);
        this.#write_pdptes(frame);
        return true;
      }
      case 'guest_pt_write':
        if (!vcpu.root_mmu.direct_map)
          for (const sp of this.#root_pages(vcpu.root_mmu.root.hpa)) {
            this.#unsync.add(sp);
            pages.setUnsyncBit(sp, 0);
            vcpu.log.note('unsync', this.#numbers.of(sp));
          }
        return true;
      case 'zap_current_root_page':
        if (this.#mode === 'shadow' && first !== undefined && (pages.role[first]! & INVALID) === 0) {
          const invalid_list: number[] = [];
          vcpu.log.note('zap', this.#numbers.of(first));
          kvm_mmu_prepare_zap_page(vcpu.kvm, first, invalid_list);
          kvm_mmu_commit_zap_page(vcpu.kvm, invalid_list);
        }
        return true;
      case 'peer_load':
        if (this.#mode === 'tdp' && first !== undefined) {
          pages.rootCount[first]!++;
          this.#peers.push(first);
          vcpu.log.note('ref', this.#numbers.of(first));
        }
        return true;
      case 'peer_unload': {
        const peer = this.#peers.pop();
        if (peer !== undefined) kvm_tdp_mmu_put_root(vcpu.kvm, peer);
        return true;
      }
      default:
        return false;
    }
  }

  /** PDPTE i at offset 32 * slot of a CR3 frame g points to frame g * 0x100 + 16 * slot + 4 * version + i + 1. */
  #write_pdptes(frame: number): void {
    const { memory } = this.vcpu.kvm.vm;
    const version = this.#versions.get(frame) ?? 0;
    for (let slot = 0; slot < 128; slot++) {
      for (let i = 0; i < 4; i++) {
        const gfn = frame * 0x100 + 16 * slot + 4 * version + i + 1;
        memory.write64(frame * 4096 + slot * 32 + i * 8, gfn * 4096 + 1, 0);
      }
    }
  }

  /** Shadow pages of a root: its own, or those of the four PAE entries. */
  #root_pages(hpa: number): number[] {
    if (hpa === INVALID_PAGE) return [];
    const { kvm: owner } = this.vcpu;
    const { pages } = owner.vm;
    const sp = to_shadow_page(owner, hpa);
    if (sp !== 0) return [sp];
    const table = pages.idOfFrame(hpa);
    const found: number[] = [];
    for (let i = 0; i < 4; i++) {
      const low = pages.entryLow(table, i);
      if (low & 1) found.push(pages.idOfFrame((low >>> 12) + (pages.entryHigh(table, i) & 0xfffff) * 0x100000));
    }
    return found;
  }

  #root(pgd: number, hpa: number): VectorValue {
    const { kvm: owner } = this.vcpu;
    const pgd_text = pgd === INVALID_PGD ? null : hex(pgd);
    if (hpa === INVALID_PAGE) return [pgd_text, null, null];
    const sp = to_shadow_page(owner, hpa);
    if (sp !== 0) return [pgd_text, hex32(owner.vm.pages.role[sp]!), this.#numbers.of(sp)];
    return [pgd_text, 'special', this.#root_pages(hpa).map((page) => this.#numbers.of(page))];
  }

  #actions(entries: readonly LogEntry[]): string[] {
    const actions: string[] = [];
    for (const entry of entries) {
      const action = this.#action(entry);
      if (action === null) continue;
      // The recordings freed a page where its last reference was dropped; kvm_mmu_commit_zap_page does it at the end.
      const put = action.startsWith('page_freed') ? actions.lastIndexOf(action.replace('page_freed', 'put')) : -1;
      if (put < 0) actions.push(action);
      else actions.splice(put + 1, 0, action);
    }
    return actions;
  }

  #action({ kind, name, detail }: LogEntry): string | null {
    if (kind === 'call') return sequence_calls[name] ?? null;
    switch (name) {
      case 'lookup_hit':
      case 'lookup_miss':
      case 'unsync':
      case 'zap':
      case 'ref':
        return `${name}=${detail}`;
      case 'cr0<-':
      case 'cr3<-':
      case 'cr4<-':
      case 'efer<-':
      case 'efer<-=':
        return name + detail;
      case 'put':
        return `put=${this.#numbers.of(Number(detail))}`;
      case 'root':
        return `${this.#numbers.taken(Number(detail))}=${this.#numbers.of(Number(detail))}`;
      case 'page_destroyed':
        return `${this.#mode === 'tdp' ? 'tdp_tree_freed' : 'page_freed'}=${this.#numbers.gone(Number(detail))}`;
      case 'sync_children':
        return this.#unsync.delete(Number(detail)) ? `synced=${this.#numbers.of(Number(detail))}` : null;
      case 'hw_load_pgd': {
        const sp = to_shadow_page(this.vcpu.kvm, Number(detail));
        return `hw_load_pgd=${sp === 0 ? -1 : this.#numbers.of(sp)}`;
      }
      case 'hw_flush_current':
      case 'hw_flush_guest':
      case 'inject_gp':
        return name;
      default:
        return /^(req|do|cancel)_/.test(name) && name !== 'req_tlb_flush' ? name : null;
    }
  }
}

/** Calls that the sequences name. */
const sequence_calls: Readonly<Record<string, string>> = {
  kvm_mmu_reset_context: 'reset_context',
  kvm_mmu_unload: 'unload',
  kvm_init_mmu: 'init_mmu',
  load_pdptrs: 'load_pdptrs',
  kvm_mmu_load: 'load',
  kvm_mmu_sync_roots: 'sync_roots',
  kvm_mmu_sync_prev_roots: 'sync_prev_roots',
};

const sequences: VectorSurface['sessions'][string] = (start) => {
  const sequence = new Sequence(start);
  return (step) => sequence.step(step);
};

/** The sections about events. */
export const eventsRows: VectorSurface['rows'] = { events };

/** The sections about roots over time. */
export const rootSessions: VectorSurface['sessions'] = { rootcache, sequences };
