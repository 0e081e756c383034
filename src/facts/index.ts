// SPDX-License-Identifier: GPL-2.0-only
/** What the rest of the project may ask about upstream commits. */
import { UserError } from '../errors.ts';
import { loadFacts, storyText, usesOf } from './load.ts';
import { eraRecord } from './resolve.ts';
import type { UsesTable } from './schema.ts';

export {
  bitRange,
  bitRecord,
  type DecodedField,
  type DecodedHalf,
  decodeHalf,
  type FieldEvent,
  fieldEvents,
  type Half,
  halfLayout,
  layoutRecord,
  releaseOf,
} from './layouts.ts';
export {
  type EraLinks,
  githubUrl,
  kernelPatchUrl,
  kernelUrl,
  type Link,
  links,
  loreUrl,
  type PatchLinks,
  sourceUrl,
} from './links.ts';
export { type Facts, loadFacts } from './load.ts';
export { eraRecord, resolveEra, resolveEras, seedEras } from './resolve.ts';
export type {
  BitRecord,
  Change,
  EraRecord,
  LayoutRecord,
  Milestone,
  PatchRecord,
  Series,
  UseRow,
  UsesTable,
} from './schema.ts';

/**
 * The story of an era as Markdown. The code just before a commit is told in that commit's story.
 * Throws UserError when there is no story.
 */
export function story(id: string): string {
  const era = eraRecord(id);
  const own = storyText(era.id);
  if (own !== undefined) return own;
  const told = loadFacts().eras.find(({ before }) => before?.era === id);
  const text = told && storyText(told.id);
  if (text !== undefined) return text;
  throw noneFor(id, 'story');
}

/** Which function of an era reads which role word and fields. Throws UserError when there is no table. */
export function usesTable(id: string): UsesTable {
  const table = usesOf(eraRecord(id).id);
  if (table) return table;
  throw noneFor(id, 'table of uses');
}

function noneFor(id: string, what: string): UserError {
  return new UserError({
    place: id,
    found: `no ${what}`,
    expected: 'an era that has one',
    suggestion: 'mmu-eras eras',
  });
}
