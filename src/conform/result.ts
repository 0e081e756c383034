// SPDX-License-Identifier: GPL-2.0-only

/** What became of one section of a vector file. */
export interface SectionResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly excluded: number;
  /** Why rows were left out, each reason once. Empty when `excluded` is 0. */
  readonly exclusions: readonly { readonly reason: string; readonly count: number }[];
  /** The first ten failures in words: which row, which column, got and expected. */
  readonly failures: readonly string[];
}

/** What became of one vector file. `era` is the id of the port, or `hardware` for walk vectors. */
export interface FileResult {
  readonly file: string;
  readonly era: string;
  readonly sections: readonly SectionResult[];
}
