// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu, EraVm } from '../era.ts';
import type { CounterValues, Tally } from '../sim/counters.ts';
import type { Reason } from '../sim/log.ts';
import type { Vm } from '../sim/vm.ts';
import type { WalkCost } from '../sim/walk-cost.ts';
import type { EnteredRoot, ReplayObserver } from './observe.ts';
import {
  type Counts,
  type EntryState,
  FIRST_ROOT,
  type GuestFault,
  type NotInEra,
  type PhaseRecord,
  type Reload,
  type RoleValue,
  type StepRecord,
} from './record.ts';
import { StateIndex, sameRoles, sameState } from './state-index.ts';
import { WriteEffects } from './write-effects.ts';

/** Names of what runs before the first phase marker, and of the destruction of the VM, as in the recordings of real kernels. */
export const BEFORE_FIRST_PHASE = '(before first phase)';
const TEARDOWN_PHASE = '(teardown)';

/** Where the guest is: for everything that wants to say where it happened. */
export interface Position {
  readonly step: number;
  readonly line: number;
  readonly op: string;
  readonly vcpu: number;
}

export interface RecorderOptions {
  readonly observer?: ReplayObserver | null;
  /** For traces: equal entry states are one, wherever they come, so that memory does not grow with the replay's length. */
  readonly sumStates?: boolean;
}

/** Collects what a replay is asked about. Counters are read at the borders of phases, never in the access path. */
export class Recorder {
  readonly #vm: Vm;
  readonly #era: Era;
  readonly #costs: readonly (() => WalkCost)[];
  readonly #observer: ReplayObserver | null;
  readonly #exits = new Map<string, { times: number }>();
  readonly #writes = new Map<string, { times: number }>();
  #entries = 0;
  #phase = BEFORE_FIRST_PHASE;
  #phaseStart: Counts;
  readonly #phases = new Map<string, Counts>();
  readonly #states: (EntryState & { entries: number })[] = [];
  /** Places in #states, where equal ones are summed. */
  readonly #stateAt: StateIndex | null;
  #lastState = -1;
  readonly #roots = new Map<number, number>();
  /** Page id by birth, of every root the guest was entered with. */
  readonly #rootIds = new Map<number, number>();
  readonly #reloads = new Map<string, Reload & { count: number; perPhase: Record<string, number> }>();
  readonly #effects = new WriteEffects();
  readonly #steps: StepRecord[] = [];
  readonly #notInEra = new Map<string, NotInEra & { count: number }>();
  readonly #faults = new Map<string, GuestFault & { count: number }>();
  #stepReasons: string[] = [];
  #position: Position = { step: 0, line: 0, op: '', vcpu: 0 };
  #policy = { loads: 0, unloads: 0, hits: 0 };
  /** None before the first step. */
  #rolesBefore: readonly RoleValue[] = [];

  constructor(
    vm: Vm,
    era: Era,
    costs: readonly (() => WalkCost)[],
    { observer = null, sumStates = false }: RecorderOptions = {},
  ) {
    this.#observer = observer;
    this.#stateAt = sumStates ? new StateIndex(this.#states) : null;
    observer?.phase(this.#phase);
    this.#vm = vm;
    this.#era = era;
    this.#costs = costs;
    this.#phaseStart = this.#counts();
    vm.log.onRootLoad = (reason) => this.#noteLoad(reason);
  }

  get phase(): string {
    return this.#phase;
  }

  exit(reason: string): void {
    countIn(this.#exits, reason);
  }

  registerWrite(register: string): void {
    countIn(this.#writes, register);
  }

  /** A register write and the functions of KVM it led to (null: it did not leave the guest). */
  writeEffect(write: string, calls: readonly string[] | null): void {
    this.#effects.note(write, calls, this.#phase);
  }

  /** A phase marker: what follows counts there. A phase that comes again is summed. */
  beginPhase(name: string): void {
    this.#closePhase();
    this.#phase = name;
    this.#observer?.phase(name);
    if (!this.#phases.has(name)) this.#phases.set(name, difference(this.#phaseStart, this.#phaseStart));
  }

  /** Called before each guest entry. */
  entry(vcpu: number, view: EraVcpu['view']): void {
    this.#entries++;
    this.#observer?.entry(view, this.#enteredRoot(view));
    const root = view.root();
    let previousRootsValid = 0;
    for (const previous of view.previousRoots()) if (previous !== null) previousRootsValid++;
    const state: EntryState = {
      phase: this.#phase,
      vcpu,
      mmu: view.mmu(),
      roles: view.roles(),
      guestLevels: view.guestLevels(),
      hostLevels: view.hostLevels(),
      pgd: root?.pgd ?? 0,
      root: root === null ? -1 : this.#rootNumber(root.frame),
      previousRootsValid,
      entries: 1,
    };
    this.#lastState = this.#placeOf(state);
    const known = this.#states[this.#lastState];
    if (known) known.entries++;
    else this.#states.push({ ...state });
  }

  /** An entry in the very state of the last one. */
  entryAgain(): void {
    this.#entries++;
    this.#states[this.#lastState]!.entries++;
  }

  /** Where the state is counted; a new place, behind the others, when it is nowhere yet. */
  #placeOf(state: EntryState): number {
    const next = this.#states.length;
    if (this.#stateAt !== null) return this.#stateAt.placeOf(state);
    const last = this.#states[next - 1];
    return last && sameState(last, state) ? next - 1 : next;
  }

  #enteredRoot(view: EraVcpu['view']): EnteredRoot {
    const { pages } = this.#vm;
    const frame = view.root()?.frame ?? -1;
    const id = pages.idOfFrame(frame);
    const birth = id === 0 ? 0 : pages.birthOf(id);
    if (birth !== 0) this.#rootIds.set(birth, id);
    const exists = (earlier: number): boolean => {
      const at = this.#rootIds.get(earlier);
      return at !== undefined && pages.isLive(at) && pages.birthOf(at) === earlier;
    };
    return { birth, exists };
  }

  beginStep(position: Position): void {
    this.#position = position;
  }

  /** After a step: keeps it when roles or roots changed in it. */
  endStep(view: EraVcpu['view']): void {
    const { mmu_load, full_unloads, new_pgd_hit } = this.#vm.counters;
    const roles = view.roles();
    const { loads, unloads, hits } = this.#policy;
    const changed =
      !sameRoles(roles, this.#rolesBefore) || mmu_load !== loads || full_unloads !== unloads || new_pgd_hit !== hits;
    if (changed) {
      const { step, line, op, vcpu } = this.#position;
      this.#steps.push({
        step,
        line,
        op,
        phase: this.#phase,
        vcpu,
        roles,
        loads: mmu_load - loads,
        unloads: full_unloads - unloads,
        hits: new_pgd_hit - hits,
        reasons: this.#stepReasons,
      });
      this.#policy = { loads: mmu_load, unloads: full_unloads, hits: new_pgd_hit };
      this.#rolesBefore = roles;
    }
    // A record that was kept has the array.
    if (changed || this.#stepReasons.length > 0) this.#stepReasons = [];
  }

  /** A step that the era or the host lacks something for. */
  notInEra({ line, op, feature, reason }: Omit<NotInEra, 'count'>): void {
    const key = `${line} ${feature}`;
    const known = this.#notInEra.get(key);
    if (known) known.count++;
    else this.#notInEra.set(key, { line, op, feature, reason, count: 1 });
  }

  guestFault(vector: number, errorCode: number, address: string): void {
    this.#observer?.fault(vector, errorCode, address);
    const key = `${this.#phase} ${vector} ${errorCode} ${address}`;
    const known = this.#faults.get(key);
    if (known) known.count++;
    else this.#faults.set(key, { phase: this.#phase, vector, errorCode, address, count: 1 });
  }

  /** The guest has ended and its VM goes. */
  tearDown(eraVm: Pick<EraVm, 'destroy'>): void {
    this.beginPhase(TEARDOWN_PHASE);
    eraVm.destroy();
  }

  finish() {
    this.#closePhase();
    const { newByRole, existingByRole } = this.#vm;
    this.#observer?.pages([...new Set([...newByRole.counts.keys(), ...existingByRole.counts.keys()])]);
    return {
      phases: [...this.#phases].map(([name, counts]): PhaseRecord => ({ name, counts })),
      total: this.#counts(),
      entryStates: this.#states,
      reloads: [...this.#reloads.values()],
      writeEffects: this.#effects.list(),
      steps: this.#steps,
      notInEra: [...this.#notInEra.values()],
      guestFaults: [...this.#faults.values()],
    };
  }

  #closePhase(): void {
    const now = this.#counts();
    const inPhase = difference(now, this.#phaseStart);
    const known = this.#phases.get(this.#phase);
    this.#phases.set(this.#phase, known ? sum(known, inPhase) : inPhase);
    this.#phaseStart = now;
  }

  #noteLoad(reason: Reason | null): void {
    const by = reason?.by ?? '';
    const bits = reason?.bits ?? '';
    const key = `${by} ${bits}`;
    const known = this.#reloads.get(key);
    // A trace keeps no steps, and nothing would ever take their reasons away.
    if (this.#stateAt === null) {
      this.#stepReasons.push(by === '' ? FIRST_ROOT : `${by}${bits === '' ? '' : ` (${bits})`}`);
    }
    if (known) {
      known.count++;
      known.perPhase[this.#phase] = (known.perPhase[this.#phase] ?? 0) + 1;
      return;
    }
    this.#reloads.set(key, {
      by,
      bits,
      chain: reason?.chain ?? [],
      count: 1,
      perPhase: { [this.#phase]: 1 },
      line: this.#position.line,
    });
  }

  #rootNumber(frame: number): number {
    const known = this.#roots.get(frame);
    if (known !== undefined) return known;
    this.#roots.set(frame, this.#roots.size);
    return this.#roots.size - 1;
  }

  #counts(): Counts {
    const { counters, newByRole, existingByRole, zappedByRole, faultsByError } = this.#vm;
    const byRole = (tally: Tally) => textTally(tally, (role) => this.#era.roleText(role));
    return {
      kvm: counters.snapshot(),
      cost: addCosts(this.#costs),
      entries: this.#entries,
      exits: countsIn(this.#exits),
      registerWrites: countsIn(this.#writes),
      newByRole: byRole(newByRole),
      existingByRole: byRole(existingByRole),
      zappedByRole: byRole(zappedByRole),
      faultsByError: textTally(faultsByError, (code) => `0x${code.toString(16)}`),
    };
  }
}

/** One more of a name; what is known already costs a look-up and no store into the map. */
function countIn(counts: Map<string, { times: number }>, name: string): void {
  const known = counts.get(name);
  if (known) known.times++;
  else counts.set(name, { times: 1 });
}

const countsIn = (counts: ReadonlyMap<string, { readonly times: number }>): Record<string, number> =>
  Object.fromEntries([...counts].map(([name, { times }]) => [name, times]));

function textTally(tally: Tally, name: (key: number) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [key, count] of tally.sorted()) {
    const text = name(key);
    counts[text] = (counts[text] ?? 0) + count;
  }
  return counts;
}

function addCosts(costs: readonly (() => WalkCost)[]): WalkCost {
  return costs.map((cost) => cost()).reduce((a, b) => combine(a, b, (x, y) => x + y));
}

const difference = (now: Counts, before: Counts): Counts => eachNumber(now, before, (a, b) => a - b);
const sum = (a: Counts, b: Counts): Counts => eachNumber(a, b, (x, y) => x + y);

function eachNumber(a: Counts, b: Counts, apply: (a: number, b: number) => number): Counts {
  const records = (pick: (counts: Counts) => Readonly<Record<string, number>>) => mergeRecords(pick(a), pick(b), apply);
  return {
    kvm: combine(a.kvm, b.kvm, apply),
    cost: combine(a.cost, b.cost, apply),
    entries: apply(a.entries, b.entries),
    exits: records((c) => c.exits),
    registerWrites: records((c) => c.registerWrites),
    newByRole: records((c) => c.newByRole),
    existingByRole: records((c) => c.existingByRole),
    zappedByRole: records((c) => c.zappedByRole),
    faultsByError: records((c) => c.faultsByError),
  };
}

function combine<T extends CounterValues | WalkCost>(a: T, b: T, apply: (a: number, b: number) => number): T {
  const entries = Object.keys(a).map((key) => [key, apply(a[key as keyof T] as number, b[key as keyof T] as number)]);
  // The same keys with numbers again, which fromEntries cannot express.
  return Object.fromEntries(entries) as T;
}

/** Keys of either record; results of 0 are left out. */
function mergeRecords(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
  apply: (a: number, b: number) => number,
): Record<string, number> {
  const merged: Record<string, number> = {};
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const value = apply(a[key] ?? 0, b[key] ?? 0);
    if (value !== 0) merged[key] = value;
  }
  return merged;
}
