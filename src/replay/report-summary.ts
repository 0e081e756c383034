// SPDX-License-Identifier: GPL-2.0-only
import { loadFacts } from '../facts/index.ts';
import { isAvailable, type ReplayResult } from './record.ts';

/** `kvm_mmu_load` and unloads of every root at once, of a whole replay. */
export interface RootFigures {
  readonly loads: number;
  readonly unloads: number;
}

/** Root loads and full unloads of one workload in one era under one MMU kind. */
export type SummaryCell =
  | (RootFigures & {
      /** Those of the nearest earlier era of the report, in this era's line of descent, that has this MMU kind. */
      readonly before: (RootFigures & { readonly era: string }) | null;
    })
  | { readonly unavailable: string };

/** One era under every MMU kind. */
export interface SummaryRow {
  readonly era: string;
  /** The nearest earlier era of the report in this era's line of descent; null for the first. */
  readonly follows: string | null;
  /** In the order of ReportModel.mmus. */
  readonly cells: readonly SummaryCell[];
}

/** A row an era, in their order; `results` are by MMU kind, then by era. */
export function summaryOf(eras: readonly string[], results: readonly (readonly ReplayResult[])[]): SummaryRow[] {
  return eras.map((era, row) => {
    const ancestors = ancestorsOf(era).filter((one) => eras.includes(one));
    return {
      era,
      follows: ancestors[0] ?? null,
      cells: results.map((ofMmu): SummaryCell => {
        const result = ofMmu[row]!;
        if (!isAvailable(result)) return { unavailable: result.unavailable };
        const before = ancestors.map((id) => ofMmu[eras.indexOf(id)]!).find(isAvailable);
        return { ...figuresOf(result), before: before ? { era: before.era, ...figuresOf(before) } : null };
      }),
    };
  });
}

const figuresOf = ({ total: { kvm } }: Extract<ReplayResult, { readonly total: unknown }>): RootFigures => ({
  loads: kvm.mmu_load,
  unloads: kvm.full_unloads,
});

/** The eras that an era follows, nearest first. */
function ancestorsOf(id: string): string[] {
  const previous = loadFacts().eras.find((era) => era.id === id)?.previous ?? null;
  return previous === null ? [] : [previous, ...ancestorsOf(previous)];
}
