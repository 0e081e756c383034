// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';

/** git's words for a damaged object, pack or index. */
const damaged =
  /corrupt|inflate|not a GIT packfile|does not match index|bad (object|tree|pack) |bad offset|unable to unpack|premature end|truncated|wrong index|index file .* (is too small|invalid)|garbage at end|hash mismatch|non-monotonic index|error: unable to parse/i;

/** Whether git's message speaks of a damaged repository. */
export const isDamage = (stderr: string): boolean => damaged.test(stderr);

/** What git said about a repository, as a mistake with a way out. */
export function explainGit(place: string, stderr: string): UserError {
  const words = stderr
    .split('\n')
    .map((line) => line.replace(/^(fatal|error|warning): /, '').trim())
    .filter((line) => line !== '');
  const first = words[0] ?? 'git failed and gave no reason';
  const owned = /detected dubious ownership in repository at '(.*)'/.exec(stderr);
  if (owned) {
    return new UserError({
      place,
      found: `git refuses it: ${first}`,
      expected:
        'a repository of your own, or one that you told git to trust (safe.directory; it protects you from the configuration and hooks of others)',
      suggestion: `git config --global --add safe.directory ${quoted(owned[1]!)}`,
    });
  }
  if (/not a git repository/i.test(stderr)) {
    return new UserError({
      place,
      found: first,
      expected: 'a clone of the kernel: a work tree, a linked worktree, a bare repository or a mirror',
    });
  }
  const gone = /unable to normalize alternate object path: (.*)/.exec(stderr);
  if (gone) {
    return new UserError({
      place,
      found: `no objects at ${gone[1]} (any more)`,
      expected: 'a clone that stays where it is',
    });
  }
  if (isDamage(stderr)) {
    return new UserError({
      place,
      found: `damaged: ${words.join('; ')}`,
      expected: 'intact objects',
      suggestion: 'git fsck in that repository tells what is broken; mmu-eras upstream sync makes a fresh small one',
    });
  }
  return new UserError({
    place,
    found: `git: ${words.join('; ') || first}`,
    expected: 'a repository that git can read',
  });
}

/** A word for a POSIX shell: as it is where that is safe, else in single quotes. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
