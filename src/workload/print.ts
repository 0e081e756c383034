// SPDX-License-Identifier: GPL-2.0-only
import { closers, isBlock, type Op, type Workload } from './ops.ts';
import { syntax } from './syntax.ts';

/**
 * The canonical text: the title as a comment, then one op a line with single spaces, addresses in hexadecimal, options
 * in the order of the op's form. Parsing it gives the same workload, with lines renumbered where the source had
 * comments or blank lines.
 */
export function printOps(workload: Workload): string {
  const lines = workload.title === undefined ? [] : [`# ${workload.title}`];
  printInto(lines, workload.ops);
  return lines.map((line) => `${line}\n`).join('');
}

function printInto(lines: string[], ops: readonly Op[]): void {
  for (const op of ops) {
    lines.push(printOp(op));
    if (!isBlock(op)) continue;
    printInto(lines, op.body);
    lines.push(closers[op.op]);
  }
}

/** One op without its body. */
export function printOp(op: Op): string {
  const { fields, rest, options = [] } = syntax[op.op];
  // The table names fields of every op's interface; which one this is, only the table knows.
  const values = op as unknown as Readonly<Record<string, unknown>>;
  const words: string[] = [op.op];
  for (const { field, type } of fields) if (values[field] !== undefined) words.push(type.print(values[field]));
  if (rest) for (const value of values[rest.field] as readonly unknown[]) words.push(rest.type.print(value));
  for (const { field, word, type } of options) {
    if (values[field] === undefined) continue;
    words.push(type ? `${word}=${type.print(values[field])}` : word);
  }
  return words.join(' ');
}
