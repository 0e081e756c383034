// SPDX-License-Identifier: GPL-2.0-only
import type { EraView } from '../era.ts';
import { registerWriters, writeEffects } from '../record/truth/watched.ts';
import type { EnteredRoot, ReplayObserver } from '../replay/observe.ts';

/** What the recordings note beside plain counts, for one phase or a whole run. */
export interface Observed {
  /** Calls by function. */
  readonly calls: Record<string, number>;
  newPgdHit: number;
  newPgdMiss: number;
  /** Calls of the functions that set a control register or EFER, KVM's own included. */
  readonly writes: Record<string, number>;
  /** Functions called between a write of a control register and the next guest entry → how often. */
  readonly effects: Record<string, number>;
}

/** What was in force at a run of guest entries. */
export interface ObservedEntry {
  readonly phase: string;
  readonly mmu: string;
  /** Role words as hexadecimal strings, the extended half above bit 32. */
  readonly words: Readonly<Record<string, string>>;
  /** The root by its birth, and earlier ones that no longer exist when it is new. */
  readonly root: number;
  readonly gone: readonly number[];
  readonly prevRootsValid: number;
}

/** An exception that the guest logged. */
export interface ObservedFault {
  readonly phase: string;
  readonly vector: number;
  readonly errorCode: number;
  /** CR2 in hex digits with 0x. */
  readonly address: string;
}

/** Looks at a replay as the probes looked at the real kernel: function calls and guest entries in order. */
export class Observer implements ReplayObserver {
  readonly total = blank();
  readonly phases = new Map<string, Observed>();
  readonly entries: ObservedEntry[] = [];
  /** Role words of the pages that were asked for. */
  pageRoles: readonly number[] = [];
  readonly faults: ObservedFault[] = [];
  readonly #wordNames: readonly string[];
  /** Functions that the kernel's build has no symbol for at these call sites: no probe can see them. */
  readonly #unseen: readonly string[];
  readonly #roots = new Set<number>();
  #phase: Observed | null = null;
  #phaseName = '';
  #pendingPgd: Observed | null = null;
  #pendingWrite: { readonly register: string; readonly phase: Observed | null } | null = null;
  #effects: string[] = [];

  constructor(wordNames: readonly string[], unseen: readonly string[]) {
    this.#wordNames = wordNames;
    this.#unseen = unseen;
  }

  phase(name: string): void {
    this.#phaseName = name;
    this.#phase = this.phases.get(name) ?? blank();
    this.phases.set(name, this.#phase);
  }

  /** What was noted in a phase. */
  of(phase: string): Observed {
    return this.phases.get(phase) ?? blank();
  }

  fault(vector: number, errorCode: number, address: string): void {
    this.faults.push({ phase: this.#phaseName, vector, errorCode, address });
  }

  pages(roles: readonly number[]): void {
    this.pageRoles = roles;
  }

  call(name: string, caller: string): void {
    if (this.#unseen.includes(`${caller} > ${name}`) || this.#unseen.includes(`* > ${name}`)) return;
    for (const { calls } of this.#both()) calls[name] = (calls[name] ?? 0) + 1;
    const register = registerWriters[name];
    if (register !== undefined) this.#write(register);
    if (this.#pendingWrite && writeEffects.has(name)) this.#effects.push(name);
    if (name === 'kvm_mmu_new_pgd' || name === 'kvm_mmu_new_cr3') this.#pendingPgd = this.#phase;
    if (name === 'kvm_mmu_load' && this.#pendingPgd) {
      this.total.newPgdMiss++;
      this.#pendingPgd.newPgdMiss++;
      this.#pendingPgd = null;
    }
  }

  #write(register: string): void {
    for (const { writes } of this.#both()) writes[register] = (writes[register] ?? 0) + 1;
    if (register === 'efer') return;
    this.#pendingWrite = { register, phase: this.#phase };
    this.#effects = [];
  }

  entry(view: EraView, root: EnteredRoot): void {
    if (this.#pendingPgd) {
      this.total.newPgdHit++;
      this.#pendingPgd.newPgdHit++;
      this.#pendingPgd = null;
    }
    if (this.#pendingWrite) {
      const { register, phase } = this.#pendingWrite;
      const key = `${register}: ${this.#effects.join(' > ') || 'nothing'}`;
      for (const { effects } of phase ? [this.total, phase] : [this.total]) effects[key] = (effects[key] ?? 0) + 1;
      this.#pendingWrite = null;
    }
    this.#noteEntry(view, root);
  }

  #noteEntry(view: EraView, { birth, exists }: EnteredRoot): void {
    const words: Record<string, string> = {};
    view.roles().forEach(({ base, extended }, i) => {
      words[this.#wordNames[i]!] = `0x${((BigInt(extended ?? 0) << 32n) | BigInt(base)).toString(16)}`;
    });
    const gone = this.#roots.has(birth) ? [] : [...this.#roots].filter((earlier) => !exists(earlier));
    for (const earlier of gone) this.#roots.delete(earlier);
    this.#roots.add(birth);
    const prevRootsValid = view.previousRoots().filter((previous) => previous !== null).length;
    this.entries.push({ phase: this.#phaseName, mmu: view.mmu(), words, root: birth, gone, prevRootsValid });
  }

  #both(): Observed[] {
    return this.#phase ? [this.total, this.#phase] : [this.total];
  }
}

const blank = (): Observed => ({ calls: {}, newPgdHit: 0, newPgdMiss: 0, writes: {}, effects: {} });
