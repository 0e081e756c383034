// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type EraRecord, eraPage, resolveEra } from '../facts/index.ts';
import { storyMarkdown } from '../facts/story.ts';
import { renderMarkdown } from '../report/document.ts';
import { eraPageDocument } from '../report/era-page.ts';
import type { Command } from './commands.ts';
import { anchorOf, statusOf } from './eras.ts';
import { exit } from './exit.ts';
import { plainMarkdown } from './facts/markdown.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson } from './facts/sheet.ts';

/** `mmu-eras show`: one era as a guided reading, with its facts and its links. */
export const showCommand: Command = {
  usage: 'show <era>',
  build: (yargs: Argv) =>
    withFormat(
      yargs.positional('era', { type: 'string', demandOption: true, describe: 'an era, commit, commit^ or release' }),
      ['text', 'md', 'json', 'html'],
    ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const page = eraPage(resolveEra(String(args.era)).id);
    if (args.format === 'json') {
      const { era, toldIn, story, stops, links } = page;
      process.stdout.write(
        asJson({ era, toldIn, story: storyMarkdown(story), stops, links: links.links, patches: links.patches }),
      );
      return exit.ok;
    }
    const document = eraPageDocument(page, factsOf(page.era));
    if (args.format === 'html') {
      const { renderHtml } = await import('../report/html.ts');
      process.stdout.write(renderHtml(document, new Map()));
    } else {
      const markdown = renderMarkdown(document);
      process.stdout.write(args.format === 'md' ? markdown : plainMarkdown(markdown, standardOutput()));
    }
    return exit.ok;
  },
};

/** The record of an era as names and values; what it does not have is left out. */
function factsOf(era: EraRecord): [name: string, value: string][] {
  const facts: [string, string][] = [
    ['era', era.id],
    ['status', statusOf(era)],
    ['anchor', anchorOf(era)],
    ['subject', era.subject ?? ''],
    ['author', era.author ?? ''],
    ['date', era.date ? `${era.date} (${era.date_basis})` : ''],
    ['releases', `${era.releases.join(', ') || 'none'}. ${era.release_note}`],
    ['follows', era.previous ?? ''],
    ['just before', era.before?.era ?? ''],
    ['files', era.files.length > 0 ? `${era.files.join(', ')} (${era.files_basis})` : era.files_basis],
    ['layout', era.layout],
    ['role words', era.words.ext === null ? era.words.base : `${era.words.base}; extended: ${era.words.ext}`],
    ['port', era.snapshot === null ? 'none' : `snapshots/${era.snapshot}`],
    ['evidence', era.evidence],
  ];
  return facts.filter(([, value]) => value !== '');
}
