// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu } from '../era.ts';
import type { GuestFault, ReplayRecord } from '../replay/record.ts';
import { BEFORE_FIRST_PHASE, Recorder } from '../replay/recorder.ts';
import { describeWrite, type Register } from '../replay/register-write.ts';
import type { GuestCpu } from '../sim/guest-cpu.ts';
import type { Vm } from '../sim/vm.ts';
import type { TraceObserver } from './observer.ts';
import type { TraceReplay } from './trace-replay.ts';

const GENERAL_PROTECTION = ['#GP'] as const;

/** What is recorded, in memory that depends on the guest (spaces, phases, roles) and not on the number of events. */
export class TraceRecorder implements TraceObserver {
  readonly #vm: Vm;
  readonly #recorder: Recorder;
  readonly #phases: readonly string[];
  /** Exceptions of the current phase, by vector << 16 | error code. */
  readonly #exceptions = new Map<number, number>();
  readonly #faults = new Map<string, GuestFault & { count: number }>();
  #phase = BEFORE_FIRST_PHASE;
  /** Whether something has happened since the last entry that can change what is in force. */
  #changed = true;
  #write = '';
  /** Functions of KVM that ran since the last register write began. */
  readonly #calls: string[] = [];

  constructor(
    era: Era,
    { vm, cpu }: { readonly vm: Vm; readonly cpu: Pick<GuestCpu, 'cost'> },
    phases: readonly string[],
  ) {
    this.#vm = vm;
    this.#phases = phases;
    this.#recorder = new Recorder(vm, era, [() => cpu.cost()], { sumStates: true });
    const note = vm.log.onRootLoad;
    vm.log.onRootLoad = (reason) => {
      this.#changed = true;
      note?.(reason);
    };
  }

  exit(reason: string, event: number): void {
    this.#recorder.beginStep({ step: event, line: event, op: '', vcpu: 0 });
    this.#recorder.exit(reason);
    // A fault fills tables; roles and roots it leaves alone, or loads a root.
    if (reason !== 'page fault' && reason !== 'nested page fault') this.#changed = true;
  }

  registerWrite(register: Register, before: number, value: number): void {
    this.#write = describeWrite(register, before, value);
    this.#recorder.registerWrite(register);
    // Setting its length calls into the engine, which takes longer than these few.
    while (this.#calls.length > 0) this.#calls.pop();
    this.#vm.log.calls = this.#calls;
  }

  writeDone(result: 'done' | 'gp'): void {
    this.#vm.log.calls = null;
    this.#recorder.writeEffect(this.#write, result === 'gp' ? GENERAL_PROTECTION : this.#calls);
  }

  nativeWrite(register: Register, before: number, value: number): void {
    this.#recorder.writeEffect(describeWrite(register, before, value), null);
    this.#changed = true;
  }

  entry(view: EraVcpu['view']): void {
    if (!this.#changed) {
      this.#recorder.entryAgain();
      return;
    }
    this.#recorder.entry(0, view);
    this.#changed = false;
  }

  exception(vector: 13 | 14, errorCode: number): void {
    const key = (vector << 16) | errorCode;
    this.#exceptions.set(key, (this.#exceptions.get(key) ?? 0) + 1);
  }

  phase(index: number): void {
    this.#closePhase();
    this.#phase = this.#phases[index]!;
    this.#recorder.beginPhase(this.#phase);
    this.#changed = true;
  }

  /** The record of a replay that is over; its VM is torn down. `workload` names the trace. */
  finish(replay: TraceReplay, { workload, era, mode }: { workload: string; era: Era; mode: string }): ReplayRecord {
    this.#closePhase();
    const { stopped } = replay;
    this.#recorder.tearDown(replay);
    return {
      workload,
      era: era.id,
      mode,
      roleWords: era.roleWords.map(({ name }) => name),
      linesAre: 'events',
      ...this.#recorder.finish(),
      guestFaults: [...this.#faults.values()],
      executed: replay.counts().events,
      stopped: stopped === null ? null : { line: stopped.event, reason: stopped.reason },
    };
  }

  #closePhase(): void {
    for (const [key, count] of this.#exceptions) {
      const name = `${this.#phase} ${key}`;
      const known = this.#faults.get(name);
      if (known) known.count += count;
      else {
        const fault = { phase: this.#phase, vector: key >> 16, errorCode: key & 0xffff, address: '*', count };
        this.#faults.set(name, fault);
      }
    }
    this.#exceptions.clear();
  }
}
