// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { usesOf } from './load.ts';
import { eraRecord } from './resolve.ts';
import type { UsesTable } from './schema.ts';

/** Which function of an era reads which role word and fields. Throws UserError when there is no table. */
export function usesTable(id: string): UsesTable {
  const table = usesOf(eraRecord(id).id);
  if (table) return table;
  throw new UserError({
    place: id,
    found: 'no table of uses',
    expected: 'an era that has one',
    suggestion: 'mmu-eras eras',
  });
}
