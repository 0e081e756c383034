// SPDX-License-Identifier: GPL-2.0-only
import { closers, isBlock, type Op, type Workload } from './ops.ts';
import { type Field, type Option, syntax } from './syntax.ts';

/** First line of every file. */
export const format = { format: 'mmu-eras-ops', version: 1 } as const;

/** An object of a line. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * One JSON object a line: the format, with name and title of the workload, then an object for each op in source order;
 * a block's closing word is an op of its own. `line` is the line in the `.ops` source. Numbers are JSON numbers,
 * addresses and 64-bit values are `0x` strings, absent options are absent.
 */
export function toJsonl(workload: Workload): string {
  const { name, title } = workload;
  const lines: object[] = [{ ...format, name, ...(title === undefined ? {} : { title }) }];
  objectsOf(workload.ops, lines);
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function objectsOf(ops: readonly Op[], lines: object[]): void {
  for (const op of ops) {
    lines.push(objectOf(op));
    if (!isBlock(op)) continue;
    objectsOf(op.body, lines);
    lines.push({ op: closers[op.op], line: op.endLine });
  }
}

function objectOf(op: Op): JsonObject {
  const { fields, rest, options = [] } = syntax[op.op];
  // The table names fields of every op's interface; which one this is, only the table knows.
  const values = op as unknown as JsonObject;
  const object: Record<string, unknown> = { op: op.op, line: op.line };
  for (const { field, type } of [...fields, ...options] as (Field | Option)[]) {
    const value = values[field];
    if (value !== undefined) object[field] = type && type.json === 'string' ? type.print(value) : value;
  }
  if (rest) object[rest.field] = values[rest.field];
  return object;
}
