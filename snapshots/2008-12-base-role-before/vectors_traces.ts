// SPDX-License-Identifier: GPL-2.0-only
/** Vectors of sequences: what each step returns, requests, roots, counts and pages. */
import type { VectorRow, VectorValue } from '../../src/era.ts';
import { hex32 } from '../../src/role/layout.ts';
import type { Cpu } from '../../src/sim/cpu.ts';
import type { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, type Registers } from '../../src/sim/registers.ts';
import { start_role } from './calc.ts';
import { mmu_page_fault } from './mmu_fault.ts';
import { kvm_mmu_zap_all } from './mmu_pages.ts';
import { kvm_mmu_pte_write } from './mmu_write.ts';
import { is_present_spte, sptep_of } from './spte.ts';
import { KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';
import { bench, hexOf, hostOf, num, rootsOf } from './vectors_roles.ts';
import { kvm_mmu_invlpg, kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, set_efer, vcpu_enter_guest } from './x86.ts';

/** What the sequences count, in the order of the delta column; differences are u32, also where a count falls. */
class TraceCounts implements Cpu {
  tlbFlushes = 0;
  rootLoads = 0;

  loadRoot(): void {
    this.rootLoads++;
  }

  flushCurrent(): void {
    this.tlbFlushes++;
  }

  flushGuest(): void {}

  flushAddress(): void {}

  now({ kvm }: kvm_vcpu): number[] {
    const c = kvm.vm.counters;
    return [
      c.get_page_new,
      c.zap_pages,
      this.tlbFlushes,
      c.remote_tlb_flush,
      this.rootLoads,
      c.mmu_flooded,
      c.pte_write,
      c.mmu_pte_updated,
      c.mmu_pde_zapped,
      kvm.stat.mmu_unsync,
      c.mmu_recycled,
      c.injected_page_faults,
      c.injected_gp,
    ];
  }
}

const requestNames = [
  ['tlb_flush', KVM_REQ.TLB_FLUSH],
  ['mmu_reload', KVM_REQ.MMU_RELOAD],
  ['mmu_sync', KVM_REQ.MMU_SYNC],
] as const;

export function traces(start: VectorRow, context: VectorRow): (step: VectorRow) => VectorRow {
  const constants = context.constants as VectorRow;
  const withMemory = start.family === 'shadow64_mem';
  const host = num(start, 'tdp')
    ? hostOf('vmx', 'ept', 4)
    : hostOf(num(start, 'bypass_guest_pf') ? 'vmx' : 'svm', 'none', 0);
  const cpu = new TraceCounts();
  const setUp = (registers: Registers): void => {
    registers.cr0 = CR0.PE;
    if (start.family === 'shadow_modes') return;
    registers.cr0 = (CR0.PE | CR0.WP | CR0.PG) >>> 0;
    registers.cr3 = 0x10000;
    registers.cr4 = CR4.PAE | (withMemory && num(start, 'seed') % 2 === 1 ? CR4.PGE : 0);
    registers.efer = EFER.LME | EFER.LMA;
  };
  const { vm, vcpu } = bench(host, num(constants, 'guest_pages'), setUp, {
    cpu,
    pageLimit: num(start, 'n_alloc_mmu_pages'),
  });
  if (withMemory) {
    for (const [gpa, value] of constants.initial_memory_u64 as readonly (readonly [string, string])[])
      store(vm.memory, hexOf(gpa), value, 8);
  }
  return ({ op }) => {
    const words = op as readonly VectorValue[];
    if (withMemory && words[0] !== 'start') vcpu_enter_guest(vcpu);
    const before = cpu.now(vcpu);
    const ret = perform(vcpu, words);
    const after = cpu.now(vcpu);
    return {
      ret,
      requests: requestNames.filter(([, request]) => vcpu.requests & request).map(([name]) => name),
      role: hex32(start_role(vcpu.mmu.root_level)),
      root_level: vcpu.mmu.root_level,
      shadow_root_level: vcpu.mmu.shadow_root_level,
      root: rootsOf(vcpu),
      delta: after.map((count, i) => (count - before[i]!) >>> 0),
      used: vm.pages.used,
      pages: pagesOf(vcpu.kvm),
    };
  };
}

function perform(vcpu: kvm_vcpu, [op, a, b, c]: readonly VectorValue[]): number {
  const { memory } = vcpu.kvm.vm;
  switch (op) {
    case 'start':
    case 'enter':
      vcpu_enter_guest(vcpu);
      return 0;
    case 'mov_cr0':
      kvm_set_cr0(vcpu, hexOf(a));
      return 0;
    case 'mov_cr3':
      kvm_set_cr3(vcpu, hexOf(a));
      return 0;
    case 'mov_cr4':
      kvm_set_cr4(vcpu, hexOf(a));
      return 0;
    case 'wrmsr_efer':
      set_efer(vcpu, hexOf(a));
      return 0;
    case 'memslot_delete':
      kvm_mmu_zap_all(vcpu.kvm);
      return 0;
    case 'fault':
      return mmu_page_fault(vcpu, hexOf(a), Number(b));
    case 'pte_write':
      store(memory, hexOf(a), b, Number(c));
      kvm_mmu_pte_write(vcpu, hexOf(a), Number(c), true);
      return 0;
    case 'mem_write':
      store(memory, hexOf(a), b, Number(c));
      return 0;
    case 'invlpg':
      kvm_mmu_invlpg(vcpu, hexOf(a));
      return 0;
    default:
      throw new Error(`op ${String(op)} is not known`);
  }
}

/** A store of 1, 2, 4 or 8 bytes (hex), which may cross a word. */
function store(memory: PhysicalMemory, gpa: number, value: VectorValue | undefined, bytes: number): void {
  const digits = String(value).padStart(16, '0');
  for (let i = 0; i < bytes; i++) {
    const byte = Number.parseInt(digits.slice(14 - 2 * i, 16 - 2 * i), 16);
    const at = gpa + i;
    const shift = (at % 4) * 8;
    memory.write32(at - (at % 4), (memory.read32(at - (at % 4)) & ~(0xff << shift)) | (byte << shift));
  }
}

/** Every page: gfn, role, root_count, unsync, global, unsync_children, present_sptes; by frame, then role. */
function pagesOf(machine: kvm): VectorValue {
  const { pages } = machine.vm;
  const rows = [...pages.live()].map((id): [number, string, number, number, number, number, number] => {
    let present = 0;
    for (let i = 0; i < 512; i++) if (is_present_spte(machine, sptep_of(id, i))) present++;
    const { gfn, role, rootCount, unsync, mark, unsyncChildren } = pages;
    return [gfn[id]!, hex32(role[id]!), rootCount[id]!, unsync[id]!, mark[id]!, unsyncChildren[id]!, present];
  });
  return rows.sort((x, y) => x[0] - y[0] || (x[1] < y[1] ? -1 : 1));
}
