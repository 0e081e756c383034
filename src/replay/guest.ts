// SPDX-License-Identifier: GPL-2.0-only
import type { FaultOutcome } from '../era.ts';
import { OUTCOME } from '../sim/guest-cpu.ts';
import type { ExitInformation } from '../sim/host.ts';
import { ACCESS, EPT_VIOLATION, PFEC } from '../sim/paging-bits.ts';
import type { Handlers, Touch } from '../workload/program.ts';
import { faultTouches, isOnStack } from '../workload/touches.ts';
import { hexOf, numberOf, pageOf, type U64, u64, u64Of } from '../workload/u64.ts';
import { type Machine, type MachineVcpu, TSS_ADDRESS } from './machine.ts';
import type { Recorder } from './recorder.ts';

/** The guest cannot go on: a triple fault, or a fault that KVM answers the same way for ever. */
export class GuestStopped extends Error {}

/** Exits in a row for one access before the replay says that it never ends; a real one takes a few. */
const MOST_EXITS_PER_ACCESS = 64;

/** A store the guest makes: what it writes where it can matter, that is into paging structures. */
export interface Store {
  readonly bytes: 1 | 4 | 8;
  readonly lo: number;
  readonly hi: number;
}

/** A byte that data accesses write; data pages are never read back. */
const dataByte: Store = { bytes: 1, lo: 0x5a, hi: 0 };

type Kind = 'r' | 'w' | 'x';

/** An instruction by its place. */
interface Instruction {
  readonly address: number;
  readonly bytes: number;
}

/** What the CPU delivers: an exception, or the INT n at some place. */
type Event = 'exception' | Instruction;

/** One access: what, for whom, and the event the CPU delivers with it. */
interface Access {
  readonly kind: Kind;
  readonly user: boolean;
  readonly store: Store;
  readonly event: Event | null;
  /** By a MOV to memory: KVM takes that for a write of a page table, and no other instruction here. */
  readonly movesToMemory: boolean;
}

/** What a CPU of today tells about an exit. */
const everything: ExitInformation = { decodeAssists: true, nextRip: true, splitUpdates: false };

/** Runs the guest's accesses on one machine: hardware first, KVM when hardware exits, the guest's handlers when it faults. */
export class Guest {
  readonly #machine: Machine;
  readonly #recorder: Recorder;
  readonly #handlers: Handlers;
  readonly #exits: ExitInformation;
  /** Faults the guest has logged: its handler writes one record of 16 bytes each. */
  #logged = 0;
  /** The handlers' own code and data are mapped: an exception inside one means that nothing is. */
  #delivering = false;
  /** Where the guest fetched last: the instruction that runs is on that page. */
  #code = 0;
  /** The next exit still names the event that was injected. */
  #eventLeft = false;
  /** Whether KVM's emulator has the instruction that runs. */
  #emulatable = true;
  /** Width of the code that runs now. */
  codeBits: 16 | 32 | 64 = 16;

  constructor(machine: Machine, recorder: Recorder, handlers: Handlers) {
    this.#machine = machine;
    this.#recorder = recorder;
    this.#handlers = handlers;
    this.#exits = machine.vm.host.exits ?? everything;
  }

  /** Back into the guest after an exit, or for the first time; `injects`: with an event that KVM injects. */
  enter(vcpu: MachineVcpu, injects = false): void {
    this.#eventLeft = injects && this.#exits.errata?.eventLeft === true;
    if (vcpu.kernel.enter() === 'shutdown') throw new GuestStopped('triple fault: the root is not in guest memory');
    vcpu.cpu.registersChanged();
    vcpu.cpu.entered();
    this.#recorder.entry(this.#machine.vcpus.indexOf(vcpu), vcpu.kernel.view);
  }

  /** An instruction whose exit does not say what it is: KVM reads it, to execute it itself. */
  decode(vcpu: MachineVcpu, address: number, bytes: number): void {
    if (!this.#exits.decodeAssists) this.emulated(vcpu, address, bytes);
  }

  /** An instruction that is none: #UD exits, KVM reads the instruction to see whether it is one of its own, and hands it on. */
  undefined(vcpu: MachineVcpu, address: number, bytes: number): void {
    this.#recorder.exit('#UD');
    this.emulated(vcpu, address, bytes);
    this.enter(vcpu, true);
    this.deliver(vcpu, 6, 0);
  }

  /** An instruction that KVM has done the work of, and steps over: without its length it is read. */
  skip(vcpu: MachineVcpu, address: number, bytes: number): void {
    if (!this.#exits.nextRip && !vcpu.kernel.knowsLengths) this.emulated(vcpu, address, bytes);
  }

  /**
   * The emulator reads an instruction: up to 15 bytes to the end of the page, then the rest when it needs more. False when
   * the guest's tables refuse it.
   */
  emulated(vcpu: MachineVcpu, address: number, bytes: number): boolean {
    const user = vcpu.cpu.registers.cpl === 3;
    this.#machine.vm.counters.emulations++;
    const page = address - (address % 4096);
    if (vcpu.kernel.translate(page, 'fetch', user) < 0) return false;
    return address + bytes <= page + 4096 || vcpu.kernel.translate(page + 4096, 'fetch', user) >= 0;
  }

  /**
   * One access at the current privilege level, a write by a MOV unless said otherwise. False when the guest faulted; its
   * handler has run then.
   */
  access(vcpu: MachineVcpu, address: U64, kind: Kind, store = dataByte, movesToMemory = kind === 'w'): boolean {
    const mode = vcpu.kernel.execution();
    const user = vcpu.cpu.registers.cpl === 3 || mode === 'vm86';
    const access: Access = { kind, user, store, event: null, movesToMemory };
    if (kind === 'x') this.#code = numberOf(address);
    return mode === 'emulated' ? this.#execute(vcpu, address, access) : this.#access(vcpu, address, access);
  }

  /** The fetch of an instruction that KVM's emulator does not have: SVM's own. */
  fetchSpecial(vcpu: MachineVcpu, address: number): void {
    this.#emulatable = false;
    this.access(vcpu, u64Of(address), 'x');
    this.#emulatable = true;
  }

  /** OUT in virtual-8086 mode: the CPU looks up the port in the I/O bitmap of the task state segment. SDM vol. 3A 20.3.3. */
  portAccess(vcpu: MachineVcpu, port: number): void {
    if (vcpu.kernel.execution() !== 'vm86') return;
    for (const offset of [IO_MAP_BASE, 0x68 + Math.floor(port / 8)]) {
      this.#access(vcpu, u64Of(TSS_ADDRESS + offset), { ...byTheCpu, kind: 'r', event: null });
    }
  }

  #access(vcpu: MachineVcpu, address: U64, access: Access): boolean {
    const { kind, user, store, event } = access;
    const bits = accessBits[kind] | (user ? ACCESS.USER : 0);
    for (let exits = 0; exits < MOST_EXITS_PER_ACCESS; exits++) {
      switch (vcpu.cpu.access(address.lo | 0, address.hi | 0, bits)) {
        case OUTCOME.DONE:
          if (kind === 'w') this.#write(vcpu.cpu.frame * 4096 + (address.lo & 0xfff), store);
          return true;
        case OUTCOME.GUEST_FAULT:
          this.deliver(vcpu, 14, this.#guestFaultCode(vcpu.cpu.exitCode), address);
          return false;
        case OUTCOME.NONCANONICAL:
          this.deliver(vcpu, 13, 0);
          return false;
        default: {
          if (!this.#leavesGuest(vcpu)) {
            this.deliver(vcpu, 14, vcpu.cpu.exitCode, address);
            return false;
          }
          const zapped = this.#zapped();
          const outcome = this.#faultExit(vcpu, this.#isDeliveredAgain(vcpu, event));
          const done = outcome === 'emulate' ? this.#emulate(vcpu, address, access) : null;
          if (done !== null) return done;
          const again = outcome !== 'injected' && this.#isDeliveredAgain(vcpu, event);
          if (event !== null && outcome !== 'injected') this.#reinject(vcpu, event);
          this.enter(vcpu, outcome === 'injected' || again);
          if (outcome !== 'injected') {
            // The CPU begins the instruction anew: the code too may have lost its mapping.
            if (kind !== 'x' && event === null && this.#zapped() !== zapped && !this.#fetchAgain(vcpu)) return false;
            continue;
          }
          this.#injected(vcpu, address);
          return false;
        }
      }
    }
    throw new GuestStopped(
      `KVM answers the fault at ${hexOf(address)} (code 0x${vcpu.cpu.exitCode.toString(16)}) without curing it`,
    );
  }

  /** Grows when KVM drops tables, or a root. */
  #zapped(): number {
    const { zap_pages, mmu_load } = this.#machine.vm.counters;
    return zap_pages + mmu_load;
  }

  #fetchAgain(vcpu: MachineVcpu): boolean {
    return this.access(vcpu, u64Of(this.#code), 'x');
  }

  #guestFaultCode(code: number): number {
    return this.#exits.errata?.reservedIsNotPresent && (code & PFEC.RSVD) !== 0 ? code & ~PFEC.P : code;
  }

  #exitCode(code: number): number {
    const { errata } = this.#exits;
    const { tdp } = this.#machine.vm.host;
    if (tdp !== 'ept' || !errata?.tableReadIsWrite) return code;
    const tableWrite = (code & EPT_VIOLATION.WRITE) !== 0 && (code & EPT_VIOLATION.FINAL) === 0;
    return tableWrite ? code & ~EPT_VIOLATION.READ : code;
  }

  /** An exception: the guest logs it and goes on behind the faulting op. */
  deliver(vcpu: MachineVcpu, vector: 6 | 13 | 14, errorCode: number, address: U64 = u64(0)): void {
    if (this.#delivering) {
      throw new GuestStopped(`triple fault: exception ${vector} at ${hexOf(address)} in an exception handler`);
    }
    this.#delivering = true;
    this.#recorder.guestFault(vector, errorCode, hexOf(address));
    const { registers } = vcpu.cpu;
    const bits = this.codeBits === 64 ? 64 : 32;
    const cpl = registers.cpl === 3 ? 3 : 0;
    const { delivery, handler } = faultTouches({ bits, cpl, vector, nth: this.#logged++ });
    this.#event(vcpu, delivery, 'exception');
    this.access(vcpu, u64Of(this.#handlers[bits][vector]), 'x');
    for (const touch of handler) this.touch(vcpu, touch);
    registers.cpl = cpl;
    this.#delivering = false;
  }

  /** The #PF that KVM hands to the guest, for an access at `address`: where the port names its page, that is CR2. */
  #injected(vcpu: MachineVcpu, address: U64): void {
    const { errorCode, address: page } = vcpu.kernel.injected;
    this.deliver(vcpu, 14, errorCode, page === pageOf(address) ? address : u64Of(page));
  }

  /** INT n from ring 3: the CPU's own accesses, then ring 0. */
  softwareInterrupt(vcpu: MachineVcpu, delivery: readonly Touch[], instruction: Instruction): void {
    this.#event(vcpu, delivery, instruction);
  }

  /** The CPU delivers an event to ring 0. Its accesses are the kernel's, though the privilege level changes only after them. */
  #event(vcpu: MachineVcpu, delivery: readonly Touch[], event: Event): void {
    for (const { address, access } of delivery) {
      this.#access(vcpu, u64Of(address), { ...byTheCpu, kind: access === 'r' ? 'r' : 'w', event });
    }
    vcpu.cpu.registers.cpl = 0;
  }

  #isDeliveredAgain({ kernel }: MachineVcpu, event: Event | null): boolean {
    return event === 'exception' || (event !== null && kernel.reinjectsSoftwareInterrupts);
  }

  /** An event whose delivery met an exit is given to the CPU again; an INT n may have to be read for where it ends. */
  #reinject(vcpu: MachineVcpu, event: Event): void {
    if (event === 'exception' || !vcpu.kernel.reinjectsSoftwareInterrupts) return;
    this.skip(vcpu, event.address, event.bytes);
  }

  /** An access that the guest's code makes beside what a step is about. */
  touch(vcpu: MachineVcpu, { address, access }: Touch): void {
    if (access === 'u') this.update(vcpu, u64Of(address), dataByte);
    else this.access(vcpu, u64Of(address), access, dataByte, access === 'w' && !isOnStack(address));
  }

  /** One instruction that reads a place and writes it. */
  update(vcpu: MachineVcpu, address: U64, store: Store): void {
    if (this.#exits.splitUpdates) this.access(vcpu, address, 'r');
    this.access(vcpu, address, 'w', store, false);
  }

  /** A #PF under shadow paging that the kernel lets through to the guest is no exit. */
  #leavesGuest({ kernel, cpu }: MachineVcpu): boolean {
    return this.#machine.vm.host.tdp !== 'none' || kernel.interceptsPageFault(cpu.exitCode);
  }

  #faultExit(vcpu: MachineVcpu, duringDelivery: boolean): FaultOutcome {
    const { exitAddress } = vcpu.cpu;
    const exitCode = this.#exitCode(vcpu.cpu.exitCode);
    const { vm } = this.#machine;
    vm.counters.page_faults++;
    vm.faultsByError.add(exitCode);
    this.#recorder.exit(vm.host.tdp === 'none' ? 'page fault' : 'nested page fault');
    const outcome = vcpu.kernel.fault({
      address: exitAddress,
      code: exitCode,
      duringDelivery,
      namesEvent: duringDelivery || this.#eventLeft,
      instruction: this.#code,
    });
    if (outcome === 'failed') throw new GuestStopped(`KVM cannot handle the fault at 0x${exitAddress.toString(16)}`);
    return outcome;
  }

  /**
   * KVM reads the instruction, unless the CPU gave it along (SVM decode assists), and executes it: software translation,
   * then the access, told to the shadow pages when it is a write. Null when it does not: an instruction that is not made
   * for writing page tables may rather run in the guest once more, with what it wrote no page table any longer.
   */
  #emulate(vcpu: MachineVcpu, address: U64, access: Access): boolean | null {
    const { kernel } = vcpu;
    const given = this.#machine.vm.host.vendor === 'svm' && this.#exits.decodeAssists;
    const read = given || this.emulated(vcpu, this.#code, 1);
    if (read && !access.movesToMemory && kernel.retriesInstruction?.(this.#code, this.#emulatable)) return null;
    if (!this.#emulatable) throw new GuestStopped(`KVM cannot emulate the instruction at 0x${this.#code.toString(16)}`);
    const fetched = access.kind === 'x' && !given;
    const done = read && (fetched || this.#execute(vcpu, address, access, this.#faultPage(vcpu, address)));
    this.enter(vcpu, !done);
    if (done) return true;
    this.#injected(vcpu, address);
    return false;
  }

  /**
   * Page of a two-dimensional fault as the emulator uses it without a walk: it takes the fault's address for that of the
   * access when both lie at the same place in their pages. -1: it walks.
   */
  #faultPage({ cpu, kernel }: MachineVcpu, address: U64): number {
    const known = kernel.knowsFaultAddress && this.#machine.vm.host.tdp !== 'none' && kernel.view.mmu() === 'root_mmu';
    return known && cpu.exitAddress % 4096 === (address.lo & 0xfff) ? pageOf(u64Of(cpu.exitAddress)) : -1;
  }

  /** One access by the emulator. False when the guest's tables refuse it. */
  #execute({ kernel }: MachineVcpu, address: U64, { kind, user, store }: Access, known = -1): boolean {
    const page = known >= 0 ? known : kernel.translate(pageOf(address), emulated[kind], user);
    const gpa = page + (address.lo & 0xfff);
    if (page >= 0 && kind === 'w') {
      this.#write(gpa, store, true);
      kernel.guestWrote(gpa, store.bytes);
    }
    return page >= 0;
  }

  /** Stores where it can matter: memory that has never held a paging structure reads as zero whatever is written. */
  #write(gpa: number, { bytes, lo, hi }: Store, always = false): void {
    const { memory } = this.#machine;
    if (bytes === 1) {
      if (memory.slotOf(Math.floor(gpa / 4096)) < 0) return;
      const aligned = gpa - (gpa % 4);
      const shift = (gpa % 4) * 8;
      memory.write32(aligned, (memory.read32(aligned) & ~(0xff << shift)) | (lo << shift));
    } else if (bytes === 4) memory.write32(gpa, lo);
    else if (always || gpa % 8 === 0) memory.write64(gpa, lo, hi);
    else throw new Error(`a store of 8 bytes at 0x${gpa.toString(16)} is not aligned`);
  }
}

/** Offset of the I/O map base in a task state segment. SDM vol. 3A 8.2.1. */
const IO_MAP_BASE = 0x66;

/** What all accesses have that the CPU makes of itself, not for an instruction. */
const byTheCpu = { user: false, store: dataByte, movesToMemory: false } as const;

const accessBits = { r: ACCESS.READ, w: ACCESS.WRITE, x: ACCESS.FETCH } as const;
const emulated = { r: 'read', w: 'write', x: 'fetch' } as const;
