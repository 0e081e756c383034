// SPDX-License-Identifier: GPL-2.0-only
import type { Era, VectorRow, VectorValue } from '../era.ts';
import { nearest, UserError } from '../errors.ts';

/** One computation asked for: which port, which of its sections, and the row's columns. */
export interface RoleRow {
  readonly era: string;
  readonly section: string | null;
  /** All columns of the row, those just named included. */
  readonly columns: VectorRow;
}

/**
 * Reads one line: a JSON object with the columns of a vector row, `era` (id, commit, release) and, where the port has
 * several sections, `section`. UserError at `place` when it is none of that.
 */
export function parseRoleRow(line: string, place: string): RoleRow {
  let json: VectorValue;
  try {
    json = JSON.parse(line) as VectorValue;
  } catch {
    throw new UserError({ place, found: 'text that is not JSON', expected: 'one JSON object on each line' });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new UserError({ place, found: brief(json), expected: 'a JSON object' });
  }
  // VectorValue leaves an object of named values here.
  const columns = json as VectorRow;
  const { era, section } = columns;
  if (typeof era !== 'string') {
    const found = era === undefined ? 'no "era"' : `era ${brief(era)}`;
    throw new UserError({ place, found, expected: 'the id, commit or release of an era', suggestion: 'mmu-eras eras' });
  }
  if (section !== undefined && typeof section !== 'string') {
    throw new UserError({ place, found: `section ${brief(section)}`, expected: 'the name of a section' });
  }
  return { era, section: section ?? null, columns };
}

/**
 * The row with the output columns that the port answers. Without a section it is `roles`, or `init` where the port has
 * no `roles`. UserError at `place` when the port has no such section or does not understand a column.
 */
export function answerRoleRow(row: RoleRow, port: Era, place: string): VectorRow {
  const { rows } = port.vectors;
  const section = row.section ?? ('roles' in rows ? 'roles' : 'init');
  const answer = Object.hasOwn(rows, section) ? rows[section] : undefined;
  if (!answer) {
    const known = Object.keys(rows);
    const near = nearest(section, known);
    throw new UserError({
      place,
      found: `section "${section}"`,
      expected: `a section that the port of ${port.id} answers: ${known.join(', ')}`,
      ...(near ? { suggestion: near } : {}),
    });
  }
  try {
    return { ...row.columns, ...answer(row.columns, {}) };
  } catch (error) {
    // Ports throw a plain Error for columns they do not understand; anything else is a bug of ours.
    if (!(error instanceof Error) || error.constructor !== Error) throw error;
    throw new UserError({
      place,
      found: error.message,
      expected: `the input columns of "${section}" (docs/vectors.md)`,
    });
  }
}

function brief(value: VectorValue): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
