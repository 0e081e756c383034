// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import {
  baseFacts,
  compareFacts,
  derivedFacts,
  extendedFacts,
  type FactDifference,
  type RoleFact,
} from '../role/meaning.ts';
import { figuresOf } from './figures.ts';
import type { ReplayRecord, RoleValue, StepRecord } from './record.ts';

/** What a role word is for. Kernels with one word use it for both. */
export type Purpose = 'guest walk' | 'tables';

/** A step at which the two kernels did something different. */
export interface StepDifference {
  readonly step: number;
  readonly line: number;
  readonly op: string;
  readonly phase: string;
  /** Root loads, full unloads and cached roots found in this step. */
  readonly a: StepWork;
  readonly b: StepWork;
  /** Role facts that differ after this step and did not before, or differ otherwise than before. */
  readonly roles: readonly (FactDifference & { readonly purpose: Purpose })[];
}

export interface StepWork {
  readonly loads: number;
  readonly unloads: number;
  readonly hits: number;
  readonly reasons: readonly string[];
}

/** Two replays of one workload, side by side. */
export interface Comparison {
  readonly workload: string;
  readonly mode: string;
  readonly a: string;
  readonly b: string;
  /** Whether they replayed a trace, whose events are not compared one by one: `steps` is empty. */
  readonly ofTrace: boolean;
  readonly steps: readonly StepDifference[];
  /** Root loads by the function that decided and what it looked at, where the two have not the same number. */
  readonly reloads: readonly { readonly by: string; readonly bits: string; readonly a: number; readonly b: number }[];
  /** Fields that only one layout has, by purpose of the word. */
  readonly onlyIn: readonly {
    readonly purpose: Purpose;
    readonly a: readonly string[];
    readonly b: readonly string[];
  }[];
  /** Counters of the whole run that differ. */
  readonly totals: readonly { readonly name: string; readonly a: number; readonly b: number }[];
  /** Ops that one of the two does not have. */
  readonly notInEra: readonly {
    readonly era: string;
    readonly line: number;
    readonly op: string;
    readonly feature: string;
    readonly reason: string;
  }[];
  /** No step and no counter differs. */
  readonly same: boolean;
}

const idle: StepWork = { loads: 0, unloads: 0, hits: 0, reasons: [] };

/** Compares two replays step by step. Both must be of the same workload; guest steps have the same numbers in both. */
export function compareRecords(eraA: Era, a: ReplayRecord, eraB: Era, b: ReplayRecord): Comparison {
  const stepsA = new Map(a.steps.map((step) => [step.step, step]));
  const stepsB = new Map(b.steps.map((step) => [step.step, step]));
  const numbers = [...new Set([...stepsA.keys(), ...stepsB.keys()])].sort((x, y) => x - y);
  const steps: StepDifference[] = [];
  let lastA: StepRecord | undefined;
  let lastB: StepRecord | undefined;
  let before = '[]';
  for (const number of numbers) {
    const nowA = stepsA.get(number);
    const nowB = stepsB.get(number);
    lastA = nowA ?? lastA;
    lastB = nowB ?? lastB;
    const roles = lastA && lastB ? roleDifferences(eraA, lastA.roles, eraB, lastB.roles) : [];
    const key = JSON.stringify(roles);
    const workA = nowA ? workOf(nowA) : idle;
    const workB = nowB ? workOf(nowB) : idle;
    const at = (nowA ?? nowB)!;
    if (!sameWork(workA, workB) || key !== before) {
      const { step, line, op, phase } = at;
      steps.push({ step, line, op, phase, a: workA, b: workB, roles: key === before ? [] : roles });
    }
    before = key;
  }
  const totals = totalDifferences(a, b);
  return {
    workload: a.workload,
    mode: a.mode,
    a: a.era,
    b: b.era,
    ofTrace: a.linesAre === 'events',
    steps,
    reloads: reloadDifferences(a, b),
    onlyIn: layoutDifferences(eraA, eraB),
    totals,
    notInEra: [a, b].flatMap(({ era, notInEra }) =>
      notInEra.map(({ line, op, feature, reason }) => ({ era, line, op, feature, reason })),
    ),
    same: steps.length === 0 && totals.length === 0,
  };
}

const workOf = ({ loads, unloads, hits, reasons }: StepRecord): StepWork => ({ loads, unloads, hits, reasons });

/** Reasons are words of each kernel; what was done is what counts. */
const sameWork = (a: StepWork, b: StepWork): boolean =>
  a.loads === b.loads && a.unloads === b.unloads && a.hits === b.hits;

function roleDifferences(eraA: Era, a: readonly RoleValue[], eraB: Era, b: readonly RoleValue[]) {
  return purposes(eraA, eraB).flatMap(({ purpose, indexA, indexB }) =>
    compareFacts(factsOf(eraA, a[indexA]!), factsOf(eraB, b[indexB]!)).differences.map((difference) => ({
      ...difference,
      purpose,
    })),
  );
}

function layoutDifferences(eraA: Era, eraB: Era): Comparison['onlyIn'] {
  const zero = (era: Era, index: number): RoleValue => ({
    base: 0,
    extended: era.roleWords[index]!.extended ? 0 : null,
  });
  return purposes(eraA, eraB)
    .map(({ purpose, indexA, indexB }) => {
      const { onlyA, onlyB } = compareFacts(factsOf(eraA, zero(eraA, indexA)), factsOf(eraB, zero(eraB, indexB)));
      return { purpose, a: onlyA, b: onlyB };
    })
    .filter(({ a, b }) => a.length + b.length > 0);
}

/** The first word describes the guest's paging, the last the tables; one pair is enough when both kernels have one word. */
function purposes(eraA: Era, eraB: Era): { purpose: Purpose; indexA: number; indexB: number }[] {
  const tables = { purpose: 'tables' as const, indexA: eraA.roleWords.length - 1, indexB: eraB.roleWords.length - 1 };
  if (eraA.roleWords.length === 1 && eraB.roleWords.length === 1) return [tables];
  return [{ purpose: 'guest walk', indexA: 0, indexB: 0 }, tables];
}

function factsOf(era: Era, { base, extended }: RoleValue): RoleFact[] {
  const { page, extended: layout } = era.layouts;
  const facts = [...baseFacts(page, base), ...derivedFacts(page, base)];
  return extended === null || layout === null ? facts : [...facts, ...extendedFacts(layout, extended)];
}

function reloadDifferences(a: ReplayRecord, b: ReplayRecord): Comparison['reloads'] {
  const reasons = new Map<string, { by: string; bits: string; a: number; b: number }>();
  for (const [era, { reloads }] of [['a', a] as const, ['b', b] as const]) {
    for (const { by, bits, count } of reloads) {
      const key = JSON.stringify([by, bits]);
      const reason = reasons.get(key) ?? { by, bits, a: 0, b: 0 };
      reason[era] += count;
      reasons.set(key, reason);
    }
  }
  return [...reasons.values()].filter((reason) => reason.a !== reason.b);
}

function totalDifferences(a: ReplayRecord, b: ReplayRecord): Comparison['totals'] {
  const other = new Map(figuresOf(b.total).map(({ name, value }) => [name, value]));
  return figuresOf(a.total)
    .map(({ name, value }) => ({ name, a: value, b: other.get(name)! }))
    .filter((pair) => pair.a !== pair.b);
}
