// SPDX-License-Identifier: GPL-2.0-only

/** What one check compared: a role union, a cited file or function, or what a commit says of itself. */
export type CheckKind = 'layout' | 'citation' | 'commit';

/** `unchecked`: it could not be compared, and `why` says why not. */
export type Outcome = 'agreed' | 'differs' | 'unchecked';

/** One fact of ours against the real source. */
export interface Finding {
  readonly kind: CheckKind;
  /** What was looked at, e.g. `union kvm_mmu_page_role` or `kvm_mmu_new_pgd in mmu.c`. */
  readonly what: string;
  /** The revision that was read. */
  readonly revision: string;
  /** Where we say it, e.g. `snapshots/2022-02-v5.17/calc.ts:272`; the same fact can stand in several places. */
  readonly places: readonly string[];
  readonly outcome: Outcome;
  /** One line for each difference: what is there, and what we say. Empty unless `differs`. */
  readonly differences: readonly string[];
  /** Why it could not be compared, and the command that would help. Null unless `unchecked`. */
  readonly why: string | null;
  readonly fetch: string | null;
}

/** The findings of one era, or of the commits that belong to no era. */
export interface EraFindings {
  readonly era: string;
  /** The revision named with --at, when one was. */
  readonly at: string | null;
  readonly findings: readonly Finding[];
}

/** Everything a run of `verify` found, in the order of the eras. */
export interface Verification {
  readonly source: string;
  readonly eras: readonly EraFindings[];
}

/** 1 when a fact differs, 2 when none could be compared, else 0: the exit codes of every command. */
export function exitOf({ eras }: Verification): 0 | 1 | 2 {
  const outcomes = new Set(eras.flatMap(({ findings }) => findings.map(({ outcome }) => outcome)));
  if (outcomes.has('differs')) return 1;
  return outcomes.has('agreed') ? 0 : 2;
}
