// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';

/** A revision taken apart: what git resolves, and the parent steps that follow it. */
export interface Revision {
  /** Hex digits of a commit id (7 or more), or a name. */
  readonly base: string;
  readonly isId: boolean;
  /** First-parent steps: `^^` and `~2` are 2. */
  readonly steps: number;
}

/** Takes `e5ed0fb0^`, `v5.17`, `topic/x~3` apart. Throws UserError for ranges, options, paths and other forms. */
export function parseRevision(text: string): Revision {
  const match = /^(\w[\w./+-]*?)((?:\^|~\d+)*)$/.exec(text);
  if (!match || text.includes('..')) {
    throw new UserError({
      place: 'revision',
      found: JSON.stringify(text),
      expected: 'a commit of 7 or more digits, a tag or a branch, with ^ or ~N at will',
    });
  }
  let steps = 0;
  for (const [step] of match[2]!.matchAll(/\^|~\d+/g)) steps += step === '^' ? 1 : Number(step.slice(1));
  return { base: match[1]!, isId: /^[0-9a-f]{7,40}$/.test(match[1]!), steps };
}

/** The id of a revision whose steps go to first parents: `parentsOf` gives null for a commit that is not there. */
export async function walkBack(
  id: string,
  steps: number,
  parentsOf: (id: string) => Promise<readonly string[] | null>,
): Promise<string | null> {
  let at = id;
  for (let left = steps; left > 0; left--) {
    const [parent] = (await parentsOf(at)) ?? [];
    if (parent === undefined) return null;
    at = parent;
  }
  return at;
}
