// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type EraPage, eraPage, resolveEra } from '../facts/index.ts';
import { storyMarkdown } from '../facts/story.ts';
import { renderMarkdown } from '../report/document.ts';
import { eraPageDocument } from '../report/era-page.ts';
import type { SourceOptions } from '../upstream/source.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { plainMarkdown } from './facts/markdown.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson } from './facts/sheet.ts';

/** `mmu-eras show`: one era as a guided reading, with its facts and its links. */
export const showCommand: Command = {
  usage: 'show <era>',
  build: (yargs: Argv) =>
    withFormat(
      yargs
        .positional('era', { type: 'string', demandOption: true, describe: 'an era, commit, commit^ or release' })
        .option('repo', { type: 'string', requiresArg: true, describe: "a kernel clone, for the kernel's own hunks" })
        .option('capsule', { type: 'string', requiresArg: true, describe: 'the same from a file of upstream pack' }),
      ['text', 'md', 'json', 'html'],
    ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const page = await withSource(eraPage(resolveEra(String(args.era)).id), {
      repo: args.repo as string | undefined,
      capsule: args.capsule as string | undefined,
    });
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

/** The page with upstream hunks, where there is a clone, a capsule or a synced cache. */
async function withSource(page: EraPage, options: SourceOptions): Promise<EraPage> {
  const { openSource } = await import('../upstream/source.ts');
  const source = await openSource(options);
  if (!source) return page;
  try {
    const { withUpstream } = await import('./facts/upstream-hunks.ts');
    return await withUpstream(page, source);
  } finally {
    await source.close();
  }
}
