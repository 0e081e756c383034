// SPDX-License-Identifier: GPL-2.0-only

/** What a reader needs to mend a mistake: where it is, what was found, what was expected, what to try. */
export interface Mistake {
  /** File with line and column, option name, or vector row: whatever leads to the spot. */
  readonly place: string;
  readonly found: string;
  readonly expected: string;
  readonly suggestion?: string;
  /** The offending line and the 1-based column that the caret points at. */
  readonly excerpt?: { readonly line: string; readonly column: number };
}

/** A mistake of the user. Printed without a stack trace, exit code 2. Any other error is a bug of ours and keeps its stack. */
export class UserError extends Error {
  readonly mistake: Mistake;

  constructor(mistake: Mistake) {
    super(formatMistake(mistake));
    this.name = 'UserError';
    this.mistake = mistake;
  }
}

function formatMistake({ place, found, expected, suggestion, excerpt }: Mistake): string {
  const lines = [`${place}: ${found}`];
  if (excerpt) lines.push(`    ${excerpt.line}`, `    ${' '.repeat(excerpt.column - 1)}^`);
  lines.push(`  expected: ${expected}`);
  if (suggestion) lines.push(`  try: ${suggestion}`);
  return lines.join('\n');
}

/** The candidate nearest to `word` by edit distance, when it is near enough to be a slip of the hand. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length]!;
}
