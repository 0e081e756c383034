// SPDX-License-Identifier: GPL-2.0-only
import type { Link, PatchLinks } from '../facts/index.ts';
import type { ReportEra } from '../replay/report-eras.ts';
import { type Block, code, details, escaped, heading, list, markdown, table, text } from './document.ts';
import { eraName } from './era-label.ts';

/** The eras: commits, mails, diffs, and the story of each. */
export function eraBlocks(eras: readonly ReportEra[]): Block[] {
  return [
    heading(2, 'Eras'),
    text('The name of an era opens its reading: port hunks, places upstream, replays.'),
    table(
      ['era', 'source', 'read it at', 'date', 'releases', 'mails', 'diff', 'what it is'],
      eras.map((era) => row(eras, era)),
    ),
    ...eras.map((era) => details(storyTitle(eras, era), storyBlocks(era))),
  ];
}

function row(eras: readonly ReportEra[], era: ReportEra): string[] {
  return [
    `**[${escaped(eraName(eras, era.id))}](${era.page})**`,
    era.revision === null ? 'a series of mails' : code(era.revision),
    linkList(era.source),
    era.date ?? '',
    era.releases.length === 0 ? 'none' : era.releases.join(', '),
    linkList(era.threads),
    linkList(era.diff),
    escaped(era.summary),
  ];
}

const linkList = (links: readonly Link[]): string =>
  links.map(({ title, url }) => `[${escaped(title)}](${url})`).join(', ');

const storyTitle = (eras: readonly ReportEra[], era: ReportEra): string =>
  `${escaped(eraName(eras, era.id))}: ${escaped(era.subject ?? era.title)}`;

function storyBlocks(era: ReportEra): Block[] {
  return [
    list([
      `${era.status === 'proposed' ? 'Proposed, never merged' : 'Merged'}${era.author === null ? '' : `; author ${escaped(era.author)}`}`,
      ...(era.date === null ? [] : [`${era.date}${era.dateBasis === null ? '' : `: ${escaped(era.dateBasis)}`}`]),
      escaped(era.releaseNote),
      `Layout ${era.layout}: ${escaped(era.layoutWhen)}`,
      ...(era.previous === null ? [] : [`Follows ${code(era.previous)}`]),
    ]),
    ...(era.story === null ? [] : [markdown(inset(era.story))]),
    ...(era.toldIn === null ? [] : [text(`Told in the story of ${code(era.toldIn)}.`)]),
    ...patchBlocks(era.patches),
  ];
}

function patchBlocks(patches: readonly PatchLinks[]): Block[] {
  if (patches.length === 0) return [];
  return [
    heading(4, 'Patch by patch'),
    table(
      ['patch', 'subject', 'outcome', 'links'],
      patches.map(({ number, subject, outcome, links }) => [
        number,
        escaped(subject),
        escaped(outcome),
        linkList(links),
      ]),
    ),
  ];
}

/** A story without its title, which the summary has, and with headings below those of the report. */
function inset(story: string): string {
  let inFence = false;
  const lines = story.split('\n').flatMap((line) => {
    if (/^(```|~~~)/.test(line)) inFence = !inFence;
    if (inFence || !/^#+ /.test(line)) return [line];
    return line.startsWith('# ') ? [] : [`##${line}`];
  });
  return lines.join('\n').trim();
}
