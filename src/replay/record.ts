// SPDX-License-Identifier: GPL-2.0-only
import type { CounterValues } from '../sim/counters.ts';
import type { WalkCost } from '../sim/walk-cost.ts';

/** A role word at one moment; `extended` is null where the word has no such half. */
export interface RoleValue {
  readonly base: number;
  readonly extended: number | null;
}

/** Everything counted in one phase, or in all of them. */
export interface Counts {
  readonly kvm: CounterValues;
  readonly cost: WalkCost;
  /** Guest entries. */
  readonly entries: number;
  /** Exits by reason, in order of first appearance. */
  readonly exits: Readonly<Record<string, number>>;
  /** Register writes that reached KVM. */
  readonly registerWrites: Readonly<Record<string, number>>;
  /** Shadow pages by role in KVM's own text; page faults by error code (hex). */
  readonly newByRole: Readonly<Record<string, number>>;
  readonly existingByRole: Readonly<Record<string, number>>;
  readonly zappedByRole: Readonly<Record<string, number>>;
  readonly faultsByError: Readonly<Record<string, number>>;
}

export interface PhaseRecord {
  readonly name: string;
  readonly counts: Counts;
}

/** What was in force at a run of guest entries without a change. */
export interface EntryState {
  readonly phase: string;
  readonly vcpu: number;
  readonly mmu: string;
  readonly roles: readonly RoleValue[];
  readonly guestLevels: number;
  readonly hostLevels: number;
  readonly pgd: number;
  /** The n-th distinct root seen in the replay, -1 without a root. */
  readonly root: number;
  readonly previousRootsValid: number;
  readonly entries: number;
}

/** What stands for a reason where a context has had no root before. */
export const FIRST_ROOT = 'first root of this context';

/** Why roots were loaded: one line for each (function, bits) pair. */
export interface Reload {
  /** Kernel function that decided; `` for the first load of a context. */
  readonly by: string;
  /** Register bits (or other cause) it looked at. */
  readonly bits: string;
  /** Functions that ran when the root was lost, outermost first, of the first such load. */
  readonly chain: readonly string[];
  readonly count: number;
  readonly perPhase: Readonly<Record<string, number>>;
  /** Source line of the first step that caused it. */
  readonly line: number;
}

/** What register writes of one kind led to before the next guest entry. */
export interface WriteEffect {
  /** `CR0.WP`, `EFER.NX`, `CR3` …: the register and the bits that changed, `CR0 unchanged` when none did. */
  readonly write: string;
  /** Functions of KVM that ran, in order; null when the write did not leave the guest. */
  readonly calls: readonly string[] | null;
  readonly count: number;
  readonly perPhase: Readonly<Record<string, number>>;
}

/** A step of the guest at which the kernel did something with roles or roots. */
export interface StepRecord {
  /** Number of the step in guest order, from 0; loops count each round. */
  readonly step: number;
  readonly line: number;
  readonly op: string;
  readonly phase: string;
  readonly vcpu: number;
  readonly roles: readonly RoleValue[];
  readonly loads: number;
  readonly unloads: number;
  readonly hits: number;
  readonly reasons: readonly string[];
}

/** An op that asks for something the kernel, or the host, does not have. */
export interface NotInEra {
  readonly line: number;
  readonly op: string;
  readonly feature: string;
  /** Whose lack it is: `not in this era: …`, `not on this host: …`. */
  readonly reason: string;
  readonly count: number;
}

/** An exception that the guest saw. */
export interface GuestFault {
  readonly phase: string;
  readonly vector: number;
  readonly errorCode: number;
  /**
   * CR2 for a page fault in hex digits, as numbers of JSON do not hold 64 bits; else 0x0. `*` where a trace is replayed:
   * all addresses together.
   */
  readonly address: string;
  readonly count: number;
}

/** One workload under one era. */
export interface ReplayRecord {
  readonly workload: string;
  readonly era: string;
  readonly mode: string;
  readonly roleWords: readonly string[];
  /** What a `line` here is, when it is no line of a workload: the number of an event in a trace, from 0. */
  readonly linesAre?: 'events';
  readonly phases: readonly PhaseRecord[];
  readonly total: Counts;
  readonly entryStates: readonly EntryState[];
  readonly reloads: readonly Reload[];
  readonly writeEffects: readonly WriteEffect[];
  readonly steps: readonly StepRecord[];
  readonly notInEra: readonly NotInEra[];
  readonly guestFaults: readonly GuestFault[];
  /** Steps executed. */
  readonly executed: number;
  /** Why the guest stopped before its end, null when it did not. */
  readonly stopped: { readonly line: number; readonly reason: string } | null;
}

/** A workload that an era cannot run at all. */
export interface UnavailableRecord {
  readonly workload: string;
  readonly era: string;
  readonly mode: string;
  readonly unavailable: string;
}

export type ReplayResult = ReplayRecord | UnavailableRecord;

export const isAvailable = (result: ReplayResult): result is ReplayRecord => !('unavailable' in result);
