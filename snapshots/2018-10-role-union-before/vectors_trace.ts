// SPDX-License-Identifier: GPL-2.0-only
/** Vectors that are sequences of guest and host operations on one vCPU, with the whole state after each. */
import type { VectorRow, VectorValue } from '../../src/era.ts';
import { hex32 } from '../../src/role/layout.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { kvm_init_mmu } from './calc.ts';
import { kvm_mmu_page_fault } from './mmu_fault.ts';
import { kvm_mmu_invalidate_zap_all_pages } from './mmu_pages.ts';
import { kvm_mmu_reset_context } from './mmu_roots.ts';
import { kvm_mmu_invlpg, kvm_mmu_pte_write } from './mmu_write.ts';
import { nested_svm_vmexit, nested_svm_vmrun } from './nested_svm.ts';
import { handle_invept, nested_release_vmcs12, nested_vmx_run, nested_vmx_vmexit } from './nested_vmx.ts';
import { is_shadow_present_pte } from './spte.ts';
import { HF_SMM_MASK, INVALID_PAGE, KVM_REQ, type kvm_vcpu, RET_PF_EMULATE } from './types.ts';
import { eptHost, halves, makeVcpu, nptHost, num, parseHex, plainHost } from './vectors_setup.ts';
import { handle_invpcid, kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_efer, vcpu_enter_guest } from './x86.ts';

const hostOf = (family: VectorValue | undefined) =>
  family === 'ept_vmx' ? eptHost(4, true) : family === 'npt_svm' ? nptHost : plainHost;

/** Writes a hex value of 1, 4 or 8 bytes, at any address. */
function store(vcpu: kvm_vcpu, gpa: number, digits: string, bytes: number): void {
  const { memory } = vcpu.kvm.vm;
  const { lo, hi } = halves(digits);
  for (let i = 0; i < bytes; i++) {
    const byte = ((i < 4 ? lo : hi) >>> (8 * (i & 3))) & 0xff;
    const at = gpa + i;
    const shift = (at & 3) * 8;
    memory.write32(at - (at & 3), (memory.read32(at - (at & 3)) & ~(0xff << shift)) | (byte << shift));
  }
}

/** The start state of a family, before the first entry. */
function startState(vcpu: kvm_vcpu, { family, seed }: VectorRow, constants: VectorRow): void {
  const odd = Number(seed) % 2 === 1;
  if (family !== 'shadow_modes') {
    const { registers } = vcpu;
    registers.cr0 = (CR0.PE | 0x10 | CR0.PG | CR0.WP) >>> 0;
    registers.cr3 = 0x10000;
    registers.cr4 = CR4.PAE;
    registers.efer = EFER.LME | EFER.LMA;
    if (family === 'shadow64' && odd) registers.cr4 |= CR4.PCIDE;
    if (family === 'shadow64_mem' && odd) registers.cr4 |= CR4.PGE;
  }
  if (family === 'shadow64_mem') {
    for (const entry of constants.initial_memory_u64 as readonly VectorValue[]) {
      const [gpa, value] = entry as readonly string[];
      store(vcpu, Number.parseInt(gpa!, 16), value!, 8);
    }
  }
  kvm_init_mmu(vcpu, true);
}

/** In these sequences L1 and L2 have the same CR0, CR4 and EFER at any time; only CR3 is given. */
function backToL1(vcpu: kvm_vcpu, cr3: number): void {
  vcpu.nested.l1.copy(vcpu.registers);
  vcpu.nested.l1.cr3 = cr3;
}

/** One operation. Returns the step's `ret`. */
function operate(vcpu: kvm_vcpu, op: readonly VectorValue[]): number {
  const { registers } = vcpu;
  const arg = (i: number): number => parseHex(op[i], `operand ${i} of ${String(op[0])}`);
  const { cr0, cr4, efer } = registers;
  switch (op[0]) {
    case 'start':
    case 'enter':
      vcpu_enter_guest(vcpu);
      return 0;
    case 'nop':
      return 0;
    case 'mov_cr0':
      return kvm_set_cr0(vcpu, arg(1), false) ? 1 : 0;
    case 'mov_cr3': {
      const noflush = arg(1) >= 2 ** 63;
      const value = noflush ? Number.parseInt(String(op[1]).slice(1), 16) : arg(1);
      return kvm_set_cr3(vcpu, value, noflush) ? 1 : 0;
    }
    case 'mov_cr4':
      return kvm_set_cr4(vcpu, arg(1)) ? 1 : 0;
    case 'wrmsr_efer':
      return kvm_set_efer(vcpu, arg(1)) ? 1 : 0;
    case 'memslot_delete':
      kvm_mmu_invalidate_zap_all_pages(vcpu.kvm);
      return 0;
    case 'smm_toggle':
      vcpu.hflags ^= HF_SMM_MASK;
      kvm_mmu_reset_context(vcpu);
      return 0;
    case 'invpcid':
      handle_invpcid(vcpu, Number(op[1]), Number(op[2]), 0);
      return 0;
    case 'vmx_enter':
      nested_vmx_run(vcpu, { cr0, cr3: arg(3), cr4, efer, pointer: op[1] === 1 ? arg(2) : null, tag: 1 });
      return 0;
    case 'vmx_exit':
      backToL1(vcpu, arg(1));
      nested_vmx_vmexit(vcpu);
      return 0;
    case 'invept':
      handle_invept(vcpu);
      return 0;
    case 'vmrun':
      nested_svm_vmrun(vcpu, { cr0, cr3: arg(3), cr4, efer, pointer: op[1] === 1 ? arg(2) : null, tag: 1 });
      return 0;
    case 'vmexit':
      backToL1(vcpu, arg(1));
      nested_svm_vmexit(vcpu);
      return 0;
    case 'invlpg':
      kvm_mmu_invlpg(vcpu, arg(1));
      return 0;
    case 'fault':
      return kvm_mmu_page_fault(vcpu, arg(1), Number(op[2]), 0) === RET_PF_EMULATE ? 1 : 0;
    case 'mem_write':
      store(vcpu, arg(1), String(op[2]), Number(op[3]));
      return 0;
    case 'pte_write':
      store(vcpu, arg(1), String(op[2]), Number(op[3]));
      kvm_mmu_pte_write(vcpu, arg(1), Number(op[3]));
      return 0;
    default:
      throw new Error(`operation ${String(op[0])} is not known`);
  }
}

/** `delta_columns` of the file, counted from the start. Calls of vendor functions are counted in the log. */
class Deltas {
  readonly #vcpu: kvm_vcpu;
  #calls = new Map<string, number>();
  #last: number[];

  constructor(vcpu: kvm_vcpu) {
    this.#vcpu = vcpu;
    this.#last = this.#now();
  }

  /** Change since the last call. */
  take(): number[] {
    const now = this.#now();
    const delta = now.map((value, i) => value - this.#last[i]!);
    this.#last = now;
    return delta;
  }

  #now(): number[] {
    const { kvm, log, faults_injected } = this.#vcpu;
    const { counters } = kvm.vm;
    for (const { name } of log.take()) this.#calls.set(name, (this.#calls.get(name) ?? 0) + 1);
    const called = (name: string): number => this.#calls.get(name) ?? 0;
    return [
      counters.get_page_new,
      counters.zap_pages,
      called('tlb_flush'),
      counters.remote_tlb_flush,
      called('set_cr3'),
      called('tlb_flush_gva'),
      counters.mmu_flooded,
      kvm.stat.mmu_pte_write,
      counters.mmu_pte_updated,
      counters.mmu_pde_zapped,
      faults_injected,
      // The fault handler is called directly here, so nothing is ever emulated.
      0,
      counters.mmu_recycled,
    ];
  }
}

const requestNames: readonly (readonly [string, number])[] = Object.entries(KVM_REQ).map(([name, bit]) => [
  name.toLowerCase(),
  bit,
]);

/** The state columns of a step. */
function state(vcpu: kvm_vcpu, withPages: boolean): VectorRow {
  const { mmu, kvm } = vcpu;
  const { pages } = kvm.vm;
  const root = (hpa: number) => {
    const sp = pages.idOfFrame(hpa);
    return [pages.gfn[sp]!, hex32(pages.role[sp]!), pages.rootCount[sp]!];
  };
  const isPae = mmu.root_hpa !== INVALID_PAGE && pages.isSpecial(pages.idOfFrame(mmu.root_hpa));
  const roots = isPae ? mmu.pae_root!.map((hpa) => (hpa > 0 ? root(hpa) : null)) : [root(mmu.root_hpa)];
  return {
    requests: requestNames.filter(([, bit]) => (vcpu.requests & bit) !== 0).map(([name]) => name),
    mmu: mmu.name.replace('_mmu', ''),
    role: hex32(mmu.base_role),
    root_level: mmu.root_level,
    shadow_root_level: mmu.shadow_root_level,
    root: mmu.root_hpa === INVALID_PAGE ? null : roots,
    prev_roots: mmu.prev_roots.map(({ cr3, hpa }) =>
      hpa === INVALID_PAGE ? null : [cr3.toString(16), ...root(hpa).slice(0, 2)],
    ),
    used: kvm.n_used_mmu_pages,
    ...(withPages ? { pages: pageList(vcpu) } : {}),
  };
}

/** Every page of the active list, in order of gfn and role, with the number of its present entries. */
function pageList(vcpu: kvm_vcpu): VectorValue[] {
  const { pages } = vcpu.kvm.vm;
  const ids = [...pages.live()].sort((a, b) => pages.gfn[a]! - pages.gfn[b]! || pages.role[a]! - pages.role[b]!);
  return ids.map((sp) => {
    let present = 0;
    for (let i = 0; i < 512; i++) if (is_shadow_present_pte(pages.entryLow(sp, i), pages.entryHigh(sp, i))) present++;
    return [
      pages.gfn[sp]!,
      hex32(pages.role[sp]!),
      pages.rootCount[sp]!,
      pages.unsync[sp]!,
      pages.unsyncChildren[sp]!,
      present,
    ];
  });
}

/** Section `traces`: a session per sequence. */
export function trace(start: VectorRow, file: VectorRow): (step: VectorRow) => VectorRow {
  const vcpu = makeVcpu(hostOf(start.family), { pageLimit: num(start, 'n_max_mmu_pages') });
  const withMemory = start.family === 'shadow64_mem';
  vcpu.log.keep = true;
  startState(vcpu, start, file.constants as VectorRow);
  const deltas = new Deltas(vcpu);
  deltas.take();
  return ({ op, vmptrld }) => {
    const operation = op as readonly VectorValue[];
    // These sequences enter the guest before each step, without that being counted.
    if (withMemory && operation[0] !== 'start') {
      vcpu_enter_guest(vcpu);
      deltas.take();
    }
    if (vmptrld === 1) nested_release_vmcs12(vcpu);
    const ret = operate(vcpu, operation);
    return { ret, ...state(vcpu, withMemory), delta: deltas.take() };
  };
}
