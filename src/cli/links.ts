// SPDX-License-Identifier: GPL-2.0-only
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type EraLinks, eraRecord, links, resolveEras, statusOf } from '../facts/index.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { standardOutput, withFormat } from './facts/options.ts';
import { asJson, rowsAsCsv } from './facts/sheet.ts';
import type { Output } from './terminal.ts';

/** `mmu-eras links`: commits and mails of the eras, patch by patch for the proposed series. */
export const linksCommand: Command = {
  usage: 'links [eras..]',
  build: (yargs: Argv) =>
    withFormat(
      yargs.positional('eras', { type: 'string', array: true, default: ['all'], describe: 'eras, commits, releases' }),
      ['text', 'json', 'csv', 'md'],
    ),
  async run(args: ArgumentsCamelCase<Record<string, unknown>>) {
    const found = resolveEras((args.eras as readonly string[]).join(',')).map(({ id }) => links(id));
    process.stdout.write(
      args.format === 'json'
        ? asJson({ eras: found })
        : args.format === 'csv'
          ? linksAsCsv(found)
          : args.format === 'md'
            ? found.map(linksAsMarkdown).join('\n')
            : found.map((era) => linksAsText(era, standardOutput())).join('\n'),
    );
    return exit.ok;
  },
};

const headingOf = (id: string): string => {
  const era = eraRecord(id);
  return `${id}: ${era.subject ?? era.title} (${statusOf(era)})`;
};

function linksAsText({ era, links: own, patches }: EraLinks, output: Output): string {
  const lines = [output.bold(headingOf(era)), ...own.map(({ title, url }) => `  ${output.link(title, url)}`)];
  for (const patch of patches) {
    lines.push(`  ${String(patch.number).padStart(2)}  ${patch.subject} (${patch.outcome})`);
    lines.push(...patch.links.map(({ title, url }) => `      ${output.link(title, url)}`));
  }
  return linked(`${lines.join('\n')}\n`, output, [era]);
}

function linksAsMarkdown({ era, links: own, patches }: EraLinks): string {
  const lines = [`## ${headingOf(era)}`, '', ...own.map(({ title, url }) => `- [${title}](${url})`)];
  if (patches.length > 0) lines.push('', '### Patches', '');
  for (const { number, subject, outcome, links: found } of patches) {
    lines.push(`${number}. ${subject} (${outcome}): ${found.map(({ title, url }) => `[${title}](${url})`).join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}

function linksAsCsv(eras: readonly EraLinks[]): string {
  const rows = eras.flatMap(({ era, links: own, patches }) => [
    ...own.map(({ title, url }) => [era, '', '', title, url]),
    ...patches.flatMap((patch) =>
      patch.links.map(({ title, url }) => [era, String(patch.number), patch.outcome, title, url]),
    ),
  ]);
  return rowsAsCsv(['era', 'patch', 'outcome', 'title', 'url'], rows);
}
