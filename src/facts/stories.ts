// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { loadFacts, storyText } from './load.ts';
import { eraRecord } from './resolve.ts';
import { parseStory, type Story, storyMarkdown } from './story.ts';

const parsed = new Map<string, Story>();

/**
 * The story of an era with its stops. The code just before a commit is told in that commit's story: `era` of what comes
 * back says whose it is. Throws UserError when there is no story, or it has a mistake.
 */
export function readStory(id: string): Story {
  const { eras } = loadFacts();
  const owner = [eraRecord(id), ...eras.filter(({ before }) => before?.era === id)].find(
    (era) => storyText(era.id) !== undefined,
  );
  if (!owner) {
    throw new UserError({ place: id, found: 'no story', expected: 'an era that has one', suggestion: 'mmu-eras eras' });
  }
  let story = parsed.get(owner.id);
  if (!story) {
    story = parseStory(owner.id, storyText(owner.id)!);
    parsed.set(owner.id, story);
  }
  return story;
}

/** The same as plain Markdown, its stops as sections without what they refer to. */
export const story = (id: string): string => storyMarkdown(readStory(id));

/** Every story there is, in the order of the eras. */
export const allStories = (): Story[] =>
  loadFacts()
    .eras.filter(({ id }) => storyText(id) !== undefined)
    .map(({ id }) => readStory(id));
