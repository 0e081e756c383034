// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { answerRoleRow, parseRoleRow } from '../../src/conform/role-row.ts';
import type { Era, VectorRow } from '../../src/era.ts';
import { UserError } from '../../src/errors.ts';

/** An era as far as rows are concerned: `roles` doubles `x`. */
const eraWith = (rows: Era['vectors']['rows']): Era =>
  // Only id and vectors are looked at.
  ({ id: 'cpu-role', vectors: { rows, sessions: {} } }) as unknown as Era;

const double = ({ x }: VectorRow): VectorRow => {
  if (typeof x !== 'number') throw new Error(`column x is ${JSON.stringify(x)}, expected a number`);
  return { twice: 2 * x };
};

const failure = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('a row', () => {
  const era = eraWith({ roles: double, init: ({ x }) => ({ is: x! }) });

  it('comes back with the output columns after its own', () => {
    const row = parseRoleRow('{"id":7,"era":"cpu-role","x":3}', 'stdin:1');
    expect(JSON.stringify(answerRoleRow(row, era, 'stdin:1'))).toBe('{"id":7,"era":"cpu-role","x":3,"twice":6}');
  });

  it('may name its section; without one it is roles, or init where there is no roles', () => {
    const named = parseRoleRow('{"era":"cpu-role","section":"init","x":3}', 'stdin:1');
    expect(answerRoleRow(named, era, 'stdin:1')).toMatchObject({ is: 3 });
    const unnamed = parseRoleRow('{"era":"base-role","x":3}', 'stdin:1');
    expect(answerRoleRow(unnamed, eraWith({ init: double }), 'stdin:1')).toMatchObject({ twice: 6 });
  });

  it.each([
    ['{"era":', 'rows.jsonl:4: text that is not JSON'],
    ['[1]', 'rows.jsonl:4: [1]'],
    ['{"x":1}', 'rows.jsonl:4: no "era"'],
    ['{"era":5}', 'rows.jsonl:4: era 5'],
    ['{"era":"cpu-role","section":1}', 'rows.jsonl:4: section 1'],
  ])('%s is refused with its place', (line, start) => {
    expect(failure(() => parseRoleRow(line, 'rows.jsonl:4')).startsWith(start)).toBe(true);
  });

  it('of an unknown section is told the known ones', () => {
    const row = parseRoleRow('{"era":"cpu-role","section":"role"}', 'stdin:2');
    const message = failure(() => answerRoleRow(row, era, 'stdin:2'));
    expect(message).toContain('stdin:2: section "role"');
    expect(message).toContain('roles, init');
    expect(message).toContain('try: roles');
    const inherited = parseRoleRow('{"era":"cpu-role","section":"constructor"}', 'stdin:2');
    expect(failure(() => answerRoleRow(inherited, era, 'stdin:2'))).toContain('section "constructor"');
  });

  it('with a column that the port does not understand is refused with its place', () => {
    const row = parseRoleRow('{"era":"cpu-role","x":"3"}', 'stdin:9');
    expect(failure(() => answerRoleRow(row, era, 'stdin:9'))).toContain('stdin:9: column x is "3", expected a number');
  });

  it('does not hide a bug of the port behind a message for users', () => {
    const broken = eraWith({
      roles: () => {
        throw new TypeError('undefined is not a function');
      },
    });
    const row = parseRoleRow('{"era":"cpu-role"}', 'stdin:1');
    expect(() => answerRoleRow(row, broken, 'stdin:1')).toThrow(TypeError);
  });
});
