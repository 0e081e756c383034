// SPDX-License-Identifier: GPL-2.0-only

/** What a replay counts, under the C program's names. */
export interface BenchCounters {
  /** Hits of the first and of the second TLB level. */
  readonly l1: number;
  readonly l2: number;
  /** Accesses that walked tables. */
  readonly walks: number;
  /** Entries read, by hardware and by the kernel's own walks. */
  readonly refs: number;
  /** Accesses that the guest's own tables refuse. */
  readonly faults: number;
  readonly exits: number;
  /** Flushes of all translations; those of one address are not among them. */
  readonly flushes: number;
  /** Guest entries written to mark them accessed or dirty. */
  readonly adw: number;
  /** Shadow entries written. */
  readonly fills: number;
  /** Shadow pages made. */
  readonly spages: number;
  /** Sum of the frames reached, modulo 2 ** 32. */
  readonly sum: number;
}

export const counterNames = [
  'l1',
  'l2',
  'walks',
  'refs',
  'faults',
  'exits',
  'flushes',
  'adw',
  'fills',
  'spages',
  'sum',
] as const satisfies readonly (keyof BenchCounters)[];

/** One counter that is not the C program's. */
export interface CounterDifference {
  readonly counter: keyof BenchCounters;
  readonly product: number;
  readonly c: number;
}

export function differences(product: BenchCounters, c: BenchCounters): CounterDifference[] {
  return counterNames
    .filter((counter) => product[counter] !== c[counter])
    .map((counter) => ({ counter, product: product[counter], c: c[counter] }));
}
