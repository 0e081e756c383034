// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu, EraVm } from '../era.ts';
import type { RoleReads } from '../role/reads.ts';
import { GuestCpu, type GuestCpuOptions } from '../sim/guest-cpu.ts';
import type { Host } from '../sim/host.ts';
import { PhysicalMemory } from '../sim/memory.ts';
import { Vm } from '../sim/vm.ts';
import { type GuestImage, RAM_BYTES } from '../workload/image.ts';
import type { ReplayObserver } from './observe.ts';

/** CR0 of a CPU after reset: CD, NW, ET. SDM vol. 3A table 10-1. */
const RESET_CR0 = 0x60000010;

/** Where the monitor puts the task state segment of virtual-8086 mode. */
export const TSS_ADDRESS = 0xfffbd000;

/**
 * Shadow pages before reclaim: KVM gives 2 % of the pages in slots, and 64 at least (KVM_PERMILLE_MMU_PAGES,
 * KVM_MIN_ALLOC_MMU_PAGES). Where SMM has an address space of its own, its slot counts as well.
 */
export const pageLimitFor = (guestFrames: number, addressSpaces: number): number =>
  Math.max(64, Math.floor((guestFrames * addressSpaces * 20) / 1000));

/** One vCPU: the hardware it runs on and the kernel's view of it. */
export interface MachineVcpu {
  readonly cpu: GuestCpu;
  readonly kernel: EraVcpu;
}

/** A VM under one era, with the guest's memory in place. */
export interface Machine {
  readonly vm: Vm;
  readonly memory: PhysicalMemory;
  readonly eraVm: EraVm;
  readonly vcpus: readonly MachineVcpu[];
}

export interface MachineOptions {
  readonly vcpus: number;
  readonly reads: RoleReads | null;
  /** Sees the calls of KVM's functions from the creation of the first vCPU on. */
  readonly observer?: ReplayObserver | undefined;
  readonly cpu?: GuestCpuOptions | undefined;
  readonly differences?: readonly string[] | undefined;
}

/** Builds the machine: memory from the image, the era's VM, and its vCPUs as user space sets them up: after reset, CPUID, registers. */
export function buildMachine(era: Era, host: Host, image: GuestImage, options: MachineOptions): Machine {
  const memory = new PhysicalMemory();
  loadImage(memory, image);
  const guestFrames = RAM_BYTES / 4096;
  const vm = new Vm({
    host,
    memory,
    guestFrames,
    pageLimit: pageLimitFor(guestFrames, era.features.has('smm') ? 2 : 1),
    reads: options.reads,
    differences: options.differences ?? [],
  });
  const { observer } = options;
  if (observer) vm.log.onCall = (name, caller) => observer.call(name, caller);
  const eraVm = era.create(vm);
  eraVm.setTssAddress(TSS_ADDRESS);
  const vcpus = Array.from({ length: options.vcpus }, () => {
    const cpu = new GuestCpu(host, memory, options.cpu);
    cpu.registers.cr0 = RESET_CR0;
    const kernel = eraVm.createVcpu(cpu.registers, cpu);
    kernel.setCpuid();
    kernel.setSregs();
    return { cpu, kernel };
  });
  return { vm, memory, eraVm, vcpus };
}

function loadImage(memory: PhysicalMemory, { entries }: GuestImage): void {
  for (let i = 0; i < entries.count; i++) {
    const address = entries.frame[i]! * 4096 + entries.index[i]! * entries.bytes[i]!;
    if (entries.bytes[i] === 4) memory.write32(address, entries.lo[i]!);
    else memory.write64(address, entries.lo[i]!, entries.hi[i]!);
  }
}
