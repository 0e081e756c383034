// SPDX-License-Identifier: GPL-2.0-only
/** What the rest of the project may ask about upstream commits. */
import { UserError } from '../errors.ts';
import { usesOf } from './load.ts';
import { eraRecord } from './resolve.ts';
import type { UsesTable } from './schema.ts';

export { eraDiffs } from './era-diffs.ts';
export { anchorOf, statusOf } from './era-facts.ts';
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
  bootlinUrl,
  diffLinks,
  type EraLinks,
  githubUrl,
  kernelPatchUrl,
  kernelUrl,
  type Link,
  links,
  loreUrl,
  type PatchLinks,
  sourceLinks,
  sourceUrl,
} from './links.ts';
export { type Facts, loadFacts } from './load.ts';
export { type Citation, citedFunctions } from './port-source.ts';
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
export { allStories, readStory, story } from './stories.ts';
export type { KernelReference, Stop, Story } from './story.ts';
export { type FigureValue, type StopFigures, type StoryFigures, stopEras, stopFigures } from './story-figures.ts';

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
