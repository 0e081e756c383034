// SPDX-License-Identifier: GPL-2.0-only
/** Vectors of single register writes, where recorders stand in for the MMU's functions. */
import type { VectorRow } from '../../src/era.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { init_kvm_mmu } from './calc.ts';
import { kvm, kvm_vcpu } from './types.ts';
import { hex, hostOf, num } from './vectors_roles.ts';
import { kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, set_efer } from './x86.ts';

/** Names of the recorded calls. Both new_cr3 hooks count as one. */
const actionOf: Readonly<Record<string, string>> = {
  load_pdptrs: 'load_pdptrs',
  kvm_mmu_sync_global: 'sync_global',
  kvm_mmu_reset_context: 'reset_context',
  kvm_mmu_sync_roots: 'sync_roots',
  kvm_mmu_flush_tlb: 'flush_tlb',
  nonpaging_new_cr3: 'new_cr3',
  paging_new_cr3: 'new_cr3',
  kvm_inject_gp: 'inject_gp',
};
const writers = { set_cr0: kvm_set_cr0, set_cr3: kvm_set_cr3, set_cr4: kvm_set_cr4, set_efer } as const;

/** These rows say in a column of its own whether the new CR3 lies in a slot, apart from whether PDPTEs can be read there. */
class kvm_with_slots_by_column extends kvm {
  readonly #in_slot: boolean;

  constructor(vm: Vm, in_slot: boolean) {
    super(vm);
    this.#in_slot = in_slot;
  }

  override gfn_to_memslot(): boolean {
    return this.#in_slot;
  }
}

export function events(row: VectorRow): VectorRow {
  const event = row.event;
  if (typeof event !== 'string' || !(event in writers)) throw new Error(`event ${String(event)} is not known`);
  const host = hostOf('svm', 'none', 0);
  const vm = new Vm({ host, memory: new PhysicalMemory(), guestFrames: 2 ** 40, pageLimit: 1000, reads: null });
  const registers = new Registers();
  registers.cr0 = hex(row, 'cr0');
  registers.cr3 = hex(row, 'cr3');
  registers.cr4 = hex(row, 'cr4');
  registers.efer = hex(row, 'efer');
  const vcpu = new kvm_vcpu(
    new kvm_with_slots_by_column(vm, num(row, 'cr3_without_memslot') === 0),
    registers,
    inertCpu,
  );
  vcpu.kvm.vcpus.push(vcpu);
  init_kvm_mmu(vcpu);
  const arg = hex(row, 'arg');
  placePdptes(vcpu, arg, row);
  vm.log.keep = true;
  vm.log.recordCallsOnly = true;
  for (const name of ['kvm_set_cr0', 'kvm_set_cr3', 'kvm_set_cr4', 'set_efer', 'load_pdptrs', 'kvm_inject_gp'])
    vm.log.expanded.add(name);
  // `event` was checked to be a key.
  writers[event as keyof typeof writers](vcpu, arg);
  const actions = vm.log.take().flatMap(({ kind, name }) => (kind === 'call' ? (actionOf[name] ?? []) : []));
  return {
    cr0_after: registers.cr0.toString(16),
    cr3_after: registers.cr3.toString(16),
    cr4_after: registers.cr4.toString(16),
    efer_after: vcpu.shadow_efer.toString(16),
    actions,
  };
}

/** PDPTEs that load or not (bit 1 is reserved), in the tables of the old and the new CR3, and cached ones that differ or not. */
function placePdptes({ kvm, registers }: kvm_vcpu, arg: number, row: VectorRow): void {
  const entry = num(row, 'pdptes_ok') !== 0 ? 0x5001 : 0x5003;
  for (const cr3 of row.event === 'set_cr3' ? [registers.cr3, arg] : [registers.cr3]) {
    for (let i = 0; i < 4; i++) kvm.vm.memory.write64(cr3 - (cr3 % 32) + 8 * i, entry, 0);
  }
  const cached = num(row, 'pdptes_changed') !== 0 ? 0x6001 : entry;
  for (let i = 0; i < 4; i++) registers.pdptes[2 * i] = cached;
}
