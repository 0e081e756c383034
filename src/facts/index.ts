// SPDX-License-Identifier: GPL-2.0-only
/** What the rest of the project may ask about upstream commits. */

export { type Citation, uncited } from './citations.ts';
export { eraDiffs } from './era-diffs.ts';
export { anchorOf, statusOf } from './era-facts.ts';
export { pathIn, pathsOf } from './kernel-paths.ts';
export {
  bitRange,
  bitRecord,
  type DecodedField,
  type DecodedHalf,
  decodeHalf,
  type FieldEvent,
  fieldEvents,
  fieldValue,
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
export { citedByPort, citedByUses, citedFunctions } from './port-citations.ts';
export { eraRecord, resolveEra, resolveEras, seedEras } from './resolve.ts';
export type { FieldNote } from './role-changes.ts';
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
export { type StopFigures, type StoryFigures, stopEras, stopFigures } from './story-figures.ts';
export { isWordFigure, type StopWords, type WordCell, type WordColumn, type WordsOfReplay } from './story-words.ts';
export { usesTable } from './uses.ts';
