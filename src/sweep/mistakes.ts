// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';

/** A workload that is not what it was when the sweep began. */
export function changedWorkload(source: string): UserError {
  return new UserError({
    place: source,
    found: 'another content than when the sweep began',
    expected: 'a workload that stays as it is while it is replayed',
    suggestion: 'the same command again, which takes the new content',
  });
}
