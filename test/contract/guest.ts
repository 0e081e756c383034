// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu, EraVm, FaultOutcome, Mode } from '../../src/era.ts';
import { type Register, writeNatively } from '../../src/replay/register-write.ts';
import { GuestCpu, OUTCOME } from '../../src/sim/guest-cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS } from '../../src/sim/paging-bits.ts';
import type { PagingFeatures } from '../../src/sim/paging-modes.ts';
import { Vm } from '../../src/sim/vm.ts';
import { Walker } from '../../src/sim/walk.ts';
import { FAULT } from '../../src/sim/walk-result.ts';
import { NEVER_ENDS } from './leniencies.ts';

/** Guest RAM: 16 MiB, so that four 4 MiB pages fit. */
export const GUEST_FRAMES = 4096;

/** A host of one kind, with everything a guest's CPU may have. */
export function hostOf({ kind, implementation }: Mode, adBits = true, gbPages = true): Host {
  const levels = kind === 'shadow' ? 0 : 4;
  return {
    vendor: kind === 'ept' ? 'vmx' : 'svm',
    tdp: kind === 'shadow' ? 'none' : kind,
    tdpMmu: implementation === 'tdp-mmu',
    forcedTdpLevel: kind === 'npt' ? levels : 0,
    maxTdpLevel: levels,
    adBits,
    physBits: 40,
    maxHugePageLevel: 3,
    gbPages,
    encryptionMask: { lo: 0, hi: 0 },
    encryptionValue: { lo: 0, hi: 0 },
    flushOnReuse: false,
    cpuid: {
      maxPhyAddr: 40,
      gbPages,
      amd: kind !== 'ept',
      pcid: false,
      invpcid: false,
      smep: true,
      smap: true,
      pku: false,
      la57: false,
    },
  };
}

/** How an access ended: the frame it reached, or the #PF the guest got. */
export type AccessEnd =
  | { readonly frame: number; readonly exits: readonly FaultOutcome[] }
  | { readonly errorCode: number; readonly exits: readonly FaultOutcome[] };

export interface GuestOptions {
  readonly mode: Mode;
  readonly hostPageLevel: number;
  readonly pageLimit: number;
  /** Whether the guest has 1 GiB pages; it does when nothing is said. */
  readonly gbPages?: boolean;
}

/** One vCPU of an era on simulated hardware, and beside it a walker of the guest's own tables that knows nothing of KVM. */
export class Guest {
  readonly memory = new PhysicalMemory();
  readonly vm: Vm;
  readonly cpu: GuestCpu;
  readonly eraVm: EraVm;
  readonly vcpu: EraVcpu;
  readonly oracle: Walker;
  readonly #features: PagingFeatures;

  constructor(era: Era, { mode, hostPageLevel, pageLimit, gbPages = true }: GuestOptions) {
    const host = hostOf(mode, true, gbPages);
    const { memory } = this;
    this.vm = new Vm({ host, memory, guestFrames: GUEST_FRAMES, pageLimit, hostPageLevel, reads: null });
    this.cpu = new GuestCpu(host, memory);
    this.eraVm = era.create(this.vm);
    this.vcpu = this.eraVm.createVcpu(this.cpu.registers, this.cpu);
    this.oracle = new Walker(memory);
    // Under NPT the CPU reads PDPTEs with every walk, else with MOV to CR3 and the like. APM vol. 2 15.25.10.
    this.oracle.pdptesInRegisters = host.tdp !== 'npt';
    const { maxPhyAddr, amd } = host.cpuid;
    this.#features = { maxPhyAddr, gbPages, amd, executeOnly: false };
  }

  /** A register write of the guest: to KVM where it leaves the guest, else to hardware alone. */
  write(register: Register, value: number): void {
    const { vcpu, cpu } = this;
    if (!vcpu.intercepts(register, value)) writeNatively(cpu, register, value, false);
    else if (register === 'cr0') vcpu.writeCr0(value);
    else if (register === 'cr3') vcpu.writeCr3(value, false);
    else if (register === 'cr4') vcpu.writeCr4(value);
    else vcpu.writeEfer(value);
  }

  invlpg(gva: number): void {
    if (this.vcpu.interceptsInvalidation()) this.vcpu.invlpg(gva);
    else this.cpu.flushAddress(gva);
  }

  /** What the guest's own tables say about an access now: a frame, or the error code of the #PF. Marks nothing. */
  ask(gva: number, access: number): { readonly frame: number } | { readonly errorCode: number } {
    const { oracle } = this;
    oracle.load(this.vcpu.registers, this.#features);
    const fault = oracle.probe(gva | 0, Math.floor(gva / 2 ** 32), access);
    if (fault === FAULT.NONE) return { frame: oracle.result.frame };
    if (fault !== FAULT.PAGE) throw new Error(`oracle: fault ${fault} at ${gva.toString(16)}`);
    return { errorCode: oracle.result.errorCode };
  }

  /** One access, with exits to KVM until it is done or the guest has a #PF. Emulation is one store of `bytes` bytes. */
  access(gva: number, access: number, store: ((gpa: number) => number) | null = null): AccessEnd {
    const { cpu, vcpu } = this;
    const exits: FaultOutcome[] = [];
    vcpu.registers.cpl = access & ACCESS.USER ? 3 : 0;
    for (;;) {
      if (vcpu.enter() === 'shutdown') throw new Error('triple fault');
      cpu.registersChanged();
      const outcome = cpu.access(gva | 0, Math.floor(gva / 2 ** 32), access);
      if (outcome === OUTCOME.DONE) {
        const { frame } = cpu;
        store?.(frame * 4096 + (gva % 4096));
        return { frame, exits };
      }
      if (outcome === OUTCOME.GUEST_FAULT) return { errorCode: cpu.exitCode, exits };
      if (outcome !== OUTCOME.EXIT) throw new Error(`access to ${gva.toString(16)} ended with ${outcome}`);
      const end = vcpu.fault({ address: cpu.exitAddress, code: cpu.exitCode });
      exits.push(end);
      if (end === 'injected') return { errorCode: vcpu.injected.errorCode, exits };
      if (end === 'emulate') return this.#emulate(gva, access, store, exits);
      if (end === 'retry' && exits.length > 20) return { errorCode: NEVER_ENDS, exits };
      if (end === 'failed') throw new Error(`access to ${gva.toString(16)}: ${exits.join(' ')}`);
    }
  }

  #emulate(gva: number, access: number, store: ((gpa: number) => number) | null, exits: FaultOutcome[]): AccessEnd {
    const { vcpu } = this;
    const kind = access & ACCESS.WRITE ? 'write' : access & ACCESS.FETCH ? 'fetch' : 'read';
    const page = vcpu.translate(gva - (gva % 4096), kind, (access & ACCESS.USER) !== 0);
    if (page < 0) return { errorCode: vcpu.injected.errorCode, exits };
    const gpa = page + (gva % 4096);
    // Beyond memory is a device: every access to it is emulated.
    const isMemory = page < GUEST_FRAMES * 4096;
    if (isMemory && kind !== 'write') throw new Error(`a ${kind} of memory at ${gva.toString(16)} was to be emulated`);
    if (isMemory && store) vcpu.guestWrote(gpa, store(gpa));
    return { frame: Math.floor(gpa / 4096), exits };
  }
}
