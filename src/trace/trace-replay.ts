// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu, EraVm } from '../era.ts';
import { GuestStopped } from '../replay/guest.ts';
import { pageLimitFor } from '../replay/machine.ts';
import { writeNatively, writeThrough } from '../replay/register-write.ts';
import type { RoleReads } from '../role/reads.ts';
import type { Cpu } from '../sim/cpu.ts';
import { GuestCpu, type GuestCpuOptions, OUTCOME } from '../sim/guest-cpu.ts';
import type { Host } from '../sim/host.ts';
import { PhysicalMemory } from '../sim/memory.ts';
import { ACCESS } from '../sim/paging-bits.ts';
import { addressHighOf } from '../sim/translator.ts';
import { Vm } from '../sim/vm.ts';
import { EVENT, KIND_SHIFT, pageOf } from './events.ts';
import type { TraceGuest } from './guest.ts';
import { GuestState, type RegisterEvent, startRegisters } from './guest-state.ts';
import { describeEvent, eventError } from './mistakes.ts';
import type { TraceObserver } from './observer.ts';

/** More exits for one access than this mean that the kernel does not cure the fault. */
const MOST_EXITS = 64;

const writeReasons = { cr0: 'write cr0', cr3: 'write cr3', cr4: 'write cr4', efer: 'write efer' } as const;

/** What a replay asks of its CPU; GuestCpu says what each does. */
export type TraceCpu = Cpu &
  Pick<
    GuestCpu,
    | 'registers'
    | 'tlb'
    | 'frame'
    | 'frameSum'
    | 'outcome'
    | 'exitAddress'
    | 'exitCode'
    | 'access'
    | 'open'
    | 'run'
    | 'cost'
    | 'registersChanged'
    | 'pdptesReload'
    | 'cr3Written'
  >;

export interface TraceReplayOptions extends GuestCpuOptions {
  readonly era: Era;
  readonly host: Host;
  readonly guest: TraceGuest;
  /** Number of phases that PHASE events may name; any without it. */
  readonly phases?: number;
  /** Sees the replay from the creation of the vCPU on; may be made of the machine that it is to see. */
  readonly observer?: TraceObserver | ((machine: { readonly vm: Vm; readonly cpu: TraceCpu }) => TraceObserver);
  /** Notes which function reads which role field, when given. */
  readonly reads?: RoleReads;
  /** Makes the CPU; a GuestCpu of its own by default. */
  readonly makeCpu?: (host: Host, memory: PhysicalMemory) => TraceCpu;
}

/** What only the replay counts; the rest is in `vm.counters` and `cpu.cost()`. */
export interface TraceCounts {
  readonly events: number;
  /** Accesses that reached memory. */
  readonly reached: number;
  /** Accesses and register writes that ended with an exception in the guest: #PF, #GP. */
  readonly pageFaults: number;
  readonly generalProtections: number;
  /** Exits, and those after which an access ran again. */
  readonly exits: number;
  readonly retries: number;
  readonly entries: number;
  /** Sum of the frames reached, modulo 2 ** 32: replays that translate alike have the same. */
  readonly frameSum: number;
}

/**
 * One era's replay of a packed trace: a CPU, and the port as the kernel under it. It is fed with pieces of the trace in
 * order, keeps none of them, does no I/O, and its memory depends on the guest's tables and not on the trace's length.
 */
export class TraceReplay {
  readonly vm: Vm;
  readonly cpu: TraceCpu;
  readonly kernel: EraVcpu;
  readonly guest: GuestState;
  readonly #eraVm: EraVm;
  readonly #observer: TraceObserver;
  readonly #shadow: boolean;
  readonly #phases: number;
  #events = 0;
  #reached = 0;
  #pageFaults = 0;
  #generalProtections = 0;
  #exits = 0;
  #retries = 0;
  #entries = 0;
  /** Frames reached by fetches, which the CPU does not add up. */
  #fetchSum = 0;
  /** Exits since an access was done: the same access over and over. */
  #exitsInARow = 0;
  #stopped: { readonly event: number; readonly reason: string } | null = null;

  /** Builds the guest's tables and brings the guest into its paging mode, by the register writes that a guest makes. */
  constructor({ era, host, guest, phases = 2 ** 31, observer = {}, reads, makeCpu, ...cpu }: TraceReplayOptions) {
    const memory = new PhysicalMemory();
    this.guest = new GuestState(memory, guest);
    const { frames: guestFrames } = guest;
    const pageLimit = pageLimitFor(guestFrames, era.features.has('smm') ? 2 : 1);
    this.vm = new Vm({ host, memory, guestFrames, pageLimit, reads: reads ?? null });
    this.cpu = makeCpu === undefined ? new GuestCpu(host, memory, cpu) : makeCpu(host, memory);
    this.#shadow = host.tdp === 'none';
    this.#phases = phases;
    this.#observer = typeof observer === 'function' ? observer({ vm: this.vm, cpu: this.cpu }) : observer;
    this.#eraVm = era.create(this.vm);
    this.kernel = this.#eraVm.createVcpu(this.cpu.registers, this.cpu);
    this.kernel.setCpuid();
    this.kernel.setSregs();
    const { cr0, cr4, efer } = startRegisters(guest.paging);
    const write = (register: RegisterEvent['register'], value: number): void => {
      const result = this.kernel.intercepts(register, value)
        ? writeThrough(this, register, value, false)
        : writeNatively(this.cpu, register, value, false);
      if (result === 'gp') {
        throw new Error(`trace: ${era.id} refuses ${register} = 0x${value.toString(16)}`);
      }
    };
    write('cr4', cr4);
    write('efer', efer);
    write('cr3', this.guest.cr3(0));
    write('cr0', cr0);
    this.#enter();
    // An exit like any, of which a guest had many by now: kernels that let CR0 alone see only then that paging is on.
    this.#enter();
  }

  /** Counts so far. */
  counts(): TraceCounts {
    return {
      events: this.#events,
      reached: this.#reached,
      pageFaults: this.#pageFaults,
      generalProtections: this.#generalProtections,
      exits: this.#exits,
      retries: this.#retries,
      entries: this.#entries,
      frameSum: (this.cpu.frameSum + this.#fetchSum) >>> 0,
    };
  }

  /** The event at which the guest could not go on, and why; null while it can. Later events are not replayed. */
  get stopped(): { readonly event: number; readonly reason: string } | null {
    return this.#stopped;
  }

  /** Replays events `from` to `to` of a piece. UserError for an event that the guest cannot do. */
  run(trace: Int32Array, from: number, to: number): void {
    let at = from;
    this.cpu.open(trace, to);
    while (at < to && this.#stopped === null) {
      const stopped = this.cpu.run(at);
      this.passed(stopped - at);
      at = stopped;
      if (at < to && !this.step(trace[2 * at]!, trace[2 * at + 1]!)) at++;
    }
  }

  /** The CPU has done so many accesses, which need nothing else. */
  passed(accesses: number): void {
    this.#reached += accesses;
    this.#events += accesses;
    if (accesses > 0) this.#exitsInARow = 0;
  }

  /** What comes of the next event, at which the CPU stopped. True when it is to run again. */
  step(lo: number, hi: number): boolean {
    const kind = hi >>> KIND_SHIFT;
    try {
      const again =
        kind > EVENT.WRITE
          ? this.#control(kind, lo, hi)
          : this.#settle(this.cpu.outcome, lo, hi, kind === EVENT.WRITE ? 'write' : 'read');
      if (!again) this.#events++;
      return again;
    } catch (error) {
      if (!(error instanceof GuestStopped)) throw error;
      this.#stopped = { event: this.#events, reason: error.message };
      return false;
    }
  }

  /** The VM goes; no page is left. */
  destroy(): void {
    this.#eraVm.destroy();
  }

  #enter(): void {
    if (this.kernel.enter() === 'shutdown') throw new GuestStopped('triple fault: the root is not in guest memory');
    this.cpu.registersChanged();
    this.#entries++;
    this.#observer.entry?.(this.kernel.view);
  }

  #exit(reason: string): void {
    this.#exits++;
    this.#observer.exit?.(reason, this.#events);
  }

  /** What comes of an access that the CPU could not do. True when the guest runs it again. */
  #settle(outcome: number, lo: number, hi: number, access: 'read' | 'write' | 'fetch'): boolean {
    const runsAgain = this.#answer(outcome, lo, hi, access);
    if (!runsAgain) this.#exitsInARow = 0;
    return runsAgain;
  }

  #answer(outcome: number, lo: number, hi: number, access: 'read' | 'write' | 'fetch'): boolean {
    const { cpu, kernel } = this;
    if (outcome === OUTCOME.NONCANONICAL) {
      this.#generalProtection();
      return false;
    }
    if (outcome === OUTCOME.GUEST_FAULT || (this.#shadow && !kernel.interceptsPageFault(cpu.exitCode))) {
      this.#pageFault(cpu.exitCode);
      return false;
    }
    if (++this.#exitsInARow > MOST_EXITS) {
      throw new GuestStopped(`KVM answers the fault of ${describeEvent(lo, hi)} without curing it`);
    }
    return this.#fault(lo, hi, access);
  }

  #fault(lo: number, hi: number, access: 'read' | 'write' | 'fetch'): boolean {
    const { cpu, kernel, vm } = this;
    const observer = this.#observer;
    const page = pageOf(lo, hi);
    vm.counters.page_faults++;
    vm.faultsByError.add(cpu.exitCode);
    this.#exit(this.#shadow ? 'page fault' : 'nested page fault');
    observer.faultBegin?.(page);
    const end = kernel.fault({ address: cpu.exitAddress, code: cpu.exitCode });
    observer.faultEnd?.(page);
    if (end === 'failed') throw new GuestStopped(`KVM cannot handle the fault of ${describeEvent(lo, hi)}`);
    const emulated = end === 'emulate' && this.#emulate(lo, hi, access);
    this.#enter();
    if (end === 'retry') {
      this.#retries++;
      return true;
    }
    if (emulated) this.#reached++;
    else this.#pageFault(kernel.injected.errorCode);
    return false;
  }

  #pageFault(errorCode: number): void {
    this.#pageFaults++;
    this.#observer.exception?.(14, errorCode);
  }

  #generalProtection(): void {
    this.#generalProtections++;
    this.#observer.exception?.(13, 0);
  }

  /** KVM executes the access: by its own walk, and told to the shadow pages when it is a write. False: #PF. */
  #emulate(lo: number, hi: number, access: 'read' | 'write' | 'fetch'): boolean {
    const { kernel, cpu } = this;
    this.vm.counters.emulations++;
    const gpa = kernel.translate(linear(lo, hi), access, cpu.registers.cpl === 3);
    if (gpa < 0) return false;
    // What data pages hold is not modelled; where one is a table as well, its entry 0 is written as it is.
    if (access === 'write') kernel.guestWrote(gpa, 8);
    this.#fetchSum = (this.#fetchSum + Math.floor(gpa / 4096)) | 0;
    return true;
  }

  #control(kind: number, lo: number, hi: number): boolean {
    const { cpu, kernel } = this;
    const { registers } = cpu;
    switch (kind) {
      case EVENT.EXEC:
        return this.#fetch(lo, hi);
      case EVENT.EDIT:
        this.#edit(lo, hi);
        return false;
      case EVENT.INVLPG:
        if (!kernel.interceptsInvalidation()) {
          cpu.flushAddress(linear(lo, hi));
          return false;
        }
        this.#exit('invlpg');
        kernel.invlpg(linear(lo, hi));
        this.#enter();
        return false;
      case EVENT.CPL:
        if (lo !== 0 && lo !== 3) this.#refuse(lo, hi, '0 or 3');
        registers.cpl = lo;
        return false;
      case EVENT.AC:
        if (lo !== 0 && lo !== 1) this.#refuse(lo, hi, '0 or 1');
        registers.rflagsAc = lo;
        cpu.registersChanged();
        return false;
      case EVENT.PHASE:
        if (lo < 0 || lo >= this.#phases) this.#refuse(lo, hi, `a phase below ${this.#phases}, as the header names`);
        this.#exit('io');
        this.#observer.phase?.(lo);
        this.#enter();
        return false;
      default: {
        const write = this.guest.registerWrite(lo, hi, registers.cr0, this.#events);
        if (write === null) this.#refuse(lo, hi, 'a kind of event of docs/traces.md');
        this.#write(write);
        return false;
      }
    }
  }

  #refuse(lo: number, hi: number, expected: string): never {
    throw eventError(this.#events, describeEvent(lo, hi), expected);
  }

  #fetch(lo: number, hi: number): boolean {
    const { cpu } = this;
    const access = ACCESS.FETCH | (cpu.registers.cpl === 3 ? ACCESS.USER : 0);
    const outcome = cpu.access(lo << 12, addressHighOf(lo, hi), access);
    if (outcome !== OUTCOME.DONE) return this.#settle(outcome, lo, hi, 'fetch');
    this.#reached++;
    this.#fetchSum = (this.#fetchSum + cpu.frame) | 0;
    this.#exitsInARow = 0;
    return false;
  }

  /** Under shadow paging a store to a table is one that KVM executes; otherwise KVM does not see it. */
  #edit(lo: number, hi: number): void {
    const { guest, kernel } = this;
    if (this.#shadow) this.#exit('table write');
    const address = guest.edit(lo, hi, this.#events);
    if (!this.#shadow) return;
    kernel.guestWrote(address, guest.entryBytes);
    this.#enter();
  }

  #write(write: RegisterEvent): void {
    const { guest } = this;
    const observer = this.#observer;
    const { register, value, noflush, space = guest.space } = write;
    const before = this.cpu.registers[register];
    if (!this.kernel.intercepts(register, value)) {
      const result = writeNatively(this.cpu, register, value, noflush);
      if (result === 'gp') this.#generalProtection();
      else guest.space = space;
      observer.nativeWrite?.(register, before, value);
      return;
    }
    this.#exit(writeReasons[register]);
    observer.registerWrite?.(register, before, value);
    const result = writeThrough(this, register, value, noflush);
    this.#enter();
    observer.writeDone?.(result);
    if (result === 'gp') this.#generalProtection();
    else guest.space = space;
  }
}

/** Address of an event's page as the seam takes it: unsigned, 64 bits, sign-extended. */
function linear(lo: number, hi: number): number {
  return (addressHighOf(lo, hi) >>> 0) * 2 ** 32 + ((lo << 12) >>> 0);
}
