// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { resolveEra } from '../facts/index.ts';
import { eraPage } from '../facts/reading.ts';
import { storyMarkdown } from '../facts/story.ts';
import { renderMarkdown } from '../report/document.ts';
import { eraPageDocument } from '../report/era-page.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { plainMarkdown } from './facts/markdown.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson } from './facts/sheet.ts';
import { withUpstream } from './facts/upstream-hunks.ts';
import { sourceArguments, usingSource, withSource } from './source-options.ts';

/** `mmu-eras show`: one era as a guided reading, with its facts and its links. */
export const showCommand: Command = {
  usage: 'show <era>',
  build: (yargs: Argv) =>
    withFormat(
      withSource(yargs).positional('era', {
        type: 'string',
        demandOption: true,
        describe: 'an era, commit, commit^ or release',
      }),
      ['text', 'md', 'json', 'html'],
    ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const told = eraPage(resolveEra(String(args.era)).id);
    const { at, ...options } = sourceArguments(args);
    const page = await usingSource(options, async (source) => (source ? withUpstream(told, source, at) : told));
    if (args.format === 'json') {
      const { era, toldIn, story, stops, links } = page;
      process.stdout.write(
        asJson({ era, toldIn, story: storyMarkdown(story), stops, links: links.links, patches: links.patches }),
      );
      return exit.ok;
    }
    const document = eraPageDocument(page);
    if (args.format === 'html') {
      const { renderHtml } = await import('../report/html.ts');
      process.stdout.write(renderHtml(document, new Map()));
    } else {
      const markdown = renderMarkdown(document);
      const output = standardOutput();
      // The era before comes second: a function that went is linked to where it was.
      const eras = [page.story.era, ...(page.era.previous === null ? [] : [page.era.previous])];
      process.stdout.write(args.format === 'md' ? markdown : linked(plainMarkdown(markdown, output), output, eras));
    }
    return exit.ok;
  },
};
