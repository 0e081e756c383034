// SPDX-License-Identifier: GPL-2.0-only
import { type Mistake, UserError } from '../errors.ts';
import type { Op } from './ops.ts';

/** What a value is and is not, without a place. `offset` is the character within the word that the caret points at. */
export interface Slip {
  readonly found: string;
  readonly expected: string;
  readonly suggestion?: string | undefined;
  readonly offset?: number;
}

/**
 * A mistake in an op that is well formed by itself: a name without a definition, a register that a loop does not restore.
 * The reader that made the op knows where it stands and turns this into a UserError.
 */
export class OpMistake extends Error {
  readonly op: Op;
  /** The field at fault, `op` for the op as a whole, `close` for the closing op of a block. */
  readonly field: string;
  readonly slip: Slip;

  constructor(op: Op, field: string, slip: Slip) {
    super(`line ${op.line}: ${slip.found}`);
    this.name = 'OpMistake';
    this.op = op;
    this.field = field;
    this.slip = slip;
  }
}

/** Throws an OpMistake. */
export function fail(op: Op, field: string, slip: Slip): never {
  throw new OpMistake(op, field, slip);
}

/** Characters of a line that an excerpt shows; a caret further right is of no use. */
const EXCERPT = 100;
/** Characters of a finding: a word may be as long as its line. */
const FINDING = 160;

/** A UserError at a line and 1-based column of a file, with the line as excerpt where it is short enough to help. */
export function errorAt(place: { file: string; line: number; column: number; text: string }, slip: Slip): UserError {
  const { file, line, column, text } = place;
  const mistake: Mistake = {
    place: `${file}:${line}:${column}`,
    found: slip.found.length > FINDING ? `${slip.found.slice(0, FINDING)}…` : slip.found,
    expected: slip.expected,
    ...(slip.suggestion === undefined ? {} : { suggestion: slip.suggestion }),
    ...(column > EXCERPT ? {} : { excerpt: { line: text.slice(0, EXCERPT).replaceAll('\t', ' '), column } }),
  };
  return new UserError(mistake);
}
