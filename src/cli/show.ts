// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type EraLinks, type EraRecord, links, resolveEra, story } from '../facts/index.ts';
import type { Command } from './commands.ts';
import { anchorOf, statusOf } from './eras.ts';
import { exit } from './exit.ts';
import { htmlPage, plainMarkdown } from './facts/markdown.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson } from './facts/sheet.ts';

/** `mmu-eras show`: the story of one era, its facts and its links. */
export const showCommand: Command = {
  usage: 'show <era>',
  build: (yargs: Argv) =>
    withFormat(
      yargs.positional('era', { type: 'string', demandOption: true, describe: 'an era, commit, commit^ or release' }),
      ['text', 'md', 'json', 'html'],
    ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const era = resolveEra(String(args.era));
    const text = story(era.id);
    const found = links(era.id);
    const markdown = showAsMarkdown(era, text, found);
    process.stdout.write(
      args.format === 'json'
        ? asJson({ era, story: text, links: found.links, patches: found.patches })
        : args.format === 'md'
          ? markdown
          : args.format === 'html'
            ? htmlPage(`${era.id}: ${era.title}`, markdown)
            : plainMarkdown(markdown, standardOutput()),
    );
    return exit.ok;
  },
};

function showAsMarkdown(era: EraRecord, text: string, found: EraLinks): string {
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
  const lines = [text.trimEnd(), '', '## Facts', ''];
  for (const [name, value] of facts) if (value !== '') lines.push(`- ${name}: ${value}`);
  lines.push('', '## Links', '', ...found.links.map(({ title, url }) => `- [${title}](${url})`));
  if (found.patches.length > 0) lines.push('', '## Patches', '');
  for (const patch of found.patches) {
    lines.push(`${patch.number}. ${patch.subject} (${patch.outcome})`);
    lines.push(...patch.links.map(({ title, url }) => `    - [${title}](${url})`));
  }
  return `${lines.join('\n')}\n`;
}
