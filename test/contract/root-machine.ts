// SPDX-License-Identifier: GPL-2.0-only
import { expect } from 'vitest';
import type { Era, EraVcpu, EraVm, NestedEntry } from '../../src/era.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';

/** Present, writable, user. */
const TABLE = 7;
/** Two guest tables with an entry for the first 512 GiB, in frames 16 and 17. */
export const CR3_A = 16 * 4096;
export const CR3_B = 17 * 4096;
const RESET_CR0 = 0x60000010;
export const PROTECTED_CR0 = CR0.PE | 0x10;
export const PAGED_CR0 = (CR0.PG | CR0.WP | PROTECTED_CR0) >>> 0;

/** One vCPU under an era and mode, and what hardware was told last. */
export class Machine {
  readonly vm: Vm;
  readonly eraVm: EraVm;
  readonly vcpu: EraVcpu;
  loaded: { frame: number; levels: number } | null = null;

  constructor(era: Era, host: Host) {
    const memory = new PhysicalMemory();
    for (const cr3 of [CR3_A, CR3_B]) memory.write64(cr3, 0x20000 + TABLE, 0);
    this.vm = new Vm({ host, memory, guestFrames: 4096, pageLimit: 1000, reads: null });
    const registers = new Registers();
    registers.cr0 = RESET_CR0;
    this.eraVm = era.create(this.vm);
    const loadRoot = (frame: number, levels: number): void => {
      this.loaded = { frame, levels };
    };
    this.vcpu = this.eraVm.createVcpu(registers, { ...inertCpu, loadRoot });
  }

  /** Loads that an entry makes. */
  enter(): number {
    const before = this.vm.counters.mmu_load;
    expect(this.vcpu.enter()).toBe('entered');
    return this.vm.counters.mmu_load - before;
  }

  /** Long mode on the first table, entered. */
  toLongMode(): void {
    this.enter();
    const { vcpu } = this;
    expect(vcpu.writeCr0(PROTECTED_CR0)).toBe('done');
    expect(vcpu.writeCr4(CR4.PAE)).toBe('done');
    expect(vcpu.writeCr3(CR3_A, false)).toBe('done');
    expect(vcpu.writeEfer(EFER.LME | EFER.NXE)).toBe('done');
    expect(vcpu.writeCr0(PAGED_CR0)).toBe('done');
    this.enter();
  }

  state(): { registers: number[]; roles: ReturnType<EraVcpu['view']['roles']>; mmu: string } {
    const { registers, view } = this.vcpu;
    const { cr0, cr3, cr4, efer } = registers;
    return { registers: [cr0, cr3, cr4, efer], roles: view.roles(), mmu: view.mmu() };
  }
}

/** L2 in long mode on the second table; under L1's own nested tables or not. */
export const l2 = (pointer: number | null): NestedEntry => ({
  cr0: PAGED_CR0,
  cr3: CR3_B,
  cr4: CR4.PAE,
  efer: EFER.LME | EFER.LMA | EFER.NXE,
  pointer,
  tag: 1,
});

/** L1's nested tables in frame 18: nested CR3, or EPTP of four levels and write-back. */
export const nestedPointer = { svm: 18 * 4096, vmx: 18 * 4096 + 0x1e } as const;
