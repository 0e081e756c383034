// SPDX-License-Identifier: GPL-2.0-only
import { declaredName, runningText } from './comments.ts';

/** A top-level declaration of a TypeScript file. Lines are 1-based. */
export interface Declaration {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Its lines as they stand, without the comment above. */
  readonly lines: readonly string[];
  /** The doc comment right above, as running text without marks; null when there is none. */
  readonly comment: string | null;
}

/** A line at the margin that does not begin a statement closes the one above. */
const goesOn = /^(?:\s|$|[)}\]])/;

/**
 * Every top-level declaration of a file, in order. The format of the sources is checked, so a declaration ends where the
 * next line at the margin begins, and needs no parser.
 */
export function declarationsOf(source: string): Declaration[] {
  const lines = source.split('\n');
  const found: Declaration[] = [];
  lines.forEach((line, index) => {
    const name = declaredName(line);
    if (name === null) return;
    let end = index + 1;
    while (end < lines.length && goesOn.test(lines[end]!)) end++;
    while (lines[end - 1]!.trim() === '') end--;
    found.push({
      name,
      first: index + 1,
      last: end,
      lines: lines.slice(index, end),
      comment: commentAbove(lines, index),
    });
  });
  return found;
}

/** The first declaration of this name, or undefined. */
export const declarationOf = (source: string, name: string): Declaration | undefined =>
  declarationsOf(source).find((declaration) => declaration.name === name);

function commentAbove(lines: readonly string[], index: number): string | null {
  if (!lines[index - 1]?.endsWith('*/')) return null;
  const first = lines.slice(0, index).findLastIndex((line) => line.startsWith('/**'));
  return first < 0 ? null : runningText(lines.slice(first, index)).text;
}
