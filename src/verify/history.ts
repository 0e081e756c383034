// SPDX-License-Identifier: GPL-2.0-only
import type { Link } from '../facts/index.ts';

/** One commit that did something to a function or a role bit, as far as the facts know. */
export interface HistoryCommit {
  /** Null where the change is known and its commit is not. */
  readonly sha: string | null;
  readonly subject: string | null;
  readonly release: string;
  /** What it did, or how we know of it, one sentence each. */
  readonly what: readonly string[];
  readonly verified: boolean;
  readonly links: readonly Link[];
}

/** A function in one era, from what the port and the table of uses cite. */
export interface FunctionInEra {
  readonly era: string;
  readonly path: string;
  readonly line: number | null;
  /** Address of the source at the era's revision; null for a series that no tree has. */
  readonly url: string | null;
  /** Our code against the era before: `first`, `same`, `other`; null where no declaration of ours bears the name. */
  readonly code: 'first' | 'same' | 'other' | null;
  /** Role words and fields that it reads, e.g. `cpu_role.cr0_wp`. */
  readonly reads: readonly string[];
}

export interface FunctionHistory {
  readonly kind: 'function';
  readonly name: string;
  readonly eras: readonly FunctionInEra[];
  readonly commits: readonly HistoryCommit[];
}

/** A field of one union: where it stands in each layout, and the eras of that layout. */
export interface BitPlace {
  readonly bits: string;
  readonly layouts: readonly string[];
  readonly eras: readonly string[];
}

/** A field of one union under all the names that it had. */
export interface BitHistory {
  readonly kind: 'bit';
  readonly union: string;
  readonly names: readonly string[];
  readonly meaning: string;
  readonly places: readonly BitPlace[];
  readonly commits: readonly HistoryCommit[];
}

/** The hunks of `git log -L`, from a clone. */
export interface CloneLog {
  readonly from: string;
  readonly to: string;
  readonly path: string;
  /** As git prints it. */
  readonly text: string;
}

/** Everything that `log` shows of one name. `note` says why there is nothing of a clone, null where that needs no word. */
export interface LogModel {
  readonly name: string;
  readonly histories: readonly (FunctionHistory | BitHistory)[];
  readonly clone: readonly CloneLog[];
  readonly note: string | null;
}
