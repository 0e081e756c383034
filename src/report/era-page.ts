// SPDX-License-Identifier: GPL-2.0-only
import type { Link, PatchLinks, StopFigures } from '../facts/index.ts';
import type { EraPage, PortHunk, StopPage, UpstreamText } from '../facts/reading.ts';
import { type Block, code, diff, escaped, heading, list, markdown, table, text } from './document.ts';
import { wordLegend, wordTable } from './story-words.ts';
import type { Cell } from './table.ts';

/** A guided reading of one era: story, stops, facts and links. */
export function eraPageDocument(page: EraPage): Block[] {
  const { era, story, stops, facts, links, diffs, toldIn } = page;
  return [
    heading(1, escaped(story.title)),
    ...(toldIn === null
      ? []
      : [
          text(
            `${code(era.id)} is the code just before ${code(toldIn)} and is told in its story. Lines with a minus are those of ${code(era.id)}.`,
          ),
        ]),
    ...sections(story.opening),
    heading(2, 'The reading'),
    text(contents(page)),
    ...(stops.some(({ figures }) => figures !== null && figures.words.length > 0) ? wordLegend : []),
    ...stops.flatMap((stop, index) => stopBlocks(stop, `${index + 1}`)),
    ...sections(story.closing),
    heading(2, 'Facts'),
    list(facts.map(([name, value]) => `${name}: ${escaped(value)}`)),
    heading(2, 'Links'),
    list([...links.links.map(linkText), ...(diffs.length === 0 ? [] : [`diffs: ${diffs.map(linkText).join(', ')}`])]),
    ...patchBlocks(links.patches),
  ];
}

/** Markdown with headings of level 2 as blocks, so that the contents of a page list them. */
const sections = (value: string): Block[] =>
  value.split(/^(?=## )/m).flatMap((section) => {
    const [, title, rest = section] = /^## (.+)\n([\s\S]*)$/.exec(section) ?? [];
    const body = rest.trim() === '' ? [] : [markdown(rest.trim())];
    return title === undefined ? body : [heading(2, title), ...body];
  });

function contents({ era, stops }: EraPage): string {
  const own = `${stops.length} stops. Each has a few words of ours, the lines of our port, the place upstream, and a replay that shows the difference.`;
  if (stops.some(({ upstream }) => upstream !== null)) return own;
  return `${own} ${code(`mmu-eras show ${era.id} --repo DIR`)} adds the kernel's own hunks from a clone.`;
}

const linkText = ({ title, url }: Link): string => `[${escaped(title)}](${url})`;

function stopBlocks(stop: StopPage, number: string): Block[] {
  return [
    heading(3, `${number}. ${stop.title}`),
    markdown(stop.text),
    ...stop.hunks.map(portBlock),
    ...upstreamBlocks(stop),
    ...figureBlocks(stop),
  ];
}

const changes: Readonly<Record<PortHunk['change'], (against: string) => string>> = {
  new: (against) => `not in ${against}`,
  removed: (against) => `as ${against} had it; gone here`,
  changed: (against) => `against ${against}`,
  same: (against) => `unchanged since ${against}`,
  alone: () => 'as it stands',
};

function portBlock({
  name,
  file,
  first,
  last,
  against,
  change,
  lines,
  cites,
  links,
}: StopPage['hunks'][number]): Block {
  const lineRange = first === last ? `${first}` : `${first}-${last}`;
  const place = `Port: ${code(`${file}:${lineRange}`)} ${code(name)}, ${changes[change](against ?? '')}.`;
  if (!cites) return diff(place, lines);
  const { revision, path, line } = cites;
  const there = `${code(`${path}${line === null ? '' : `:${line}`}`)} of ${revision}`;
  return diff(`${place} It ports ${there} (${links.map(linkText).join(', ')}).`, lines);
}

function upstreamBlocks({ commit, places, upstream }: StopPage): Block[] {
  const names = places.map(({ path, name }) => `${code(name)} in ${code(path)}`).join(', ');
  const of = commit && `commit ${code(commit.sha.slice(0, 12))} (${commit.links.map(linkText).join(', ')})`;
  const intro = [of, names].filter(Boolean).join(': ');
  return [
    ...(intro === '' ? [] : [text(`Upstream: ${intro}${of ? '' : '; no single commit'}.`)]),
    ...(upstream === null ? [] : upstreamText(upstream)),
  ];
}

function upstreamText(upstream: UpstreamText): Block[] {
  if ('missing' in upstream) {
    const { missing, command } = upstream;
    // In a block of its own, so that it can be copied whole.
    return [text(escaped(missing)), ...(command === null ? [] : [markdown(`\`\`\`\n${command}\n\`\`\``)])];
  }
  return upstream.hunks.map(({ path, lines }) => diff(`Upstream: ${code(path)}`, lines));
}

function figureBlocks({ figures, unseen }: StopPage): Block[] {
  if (figures === null) return unseen === null ? [] : [text(`No replay shows it: ${unseen}`)];
  const { eras, rows, words } = figures;
  return [
    text(`Replay: ${code(replayCommand(figures))}`),
    ...(rows.length === 0 ? [] : [table(['', ...eras], rows.map(counterRow))]),
    ...words.map(wordTable),
  ];
}

const counterRow = ({ figure, values }: StopFigures['rows'][number]): Cell[] => [
  code(figure),
  ...values.map((value) => (typeof value === 'number' ? value : escaped(value))),
];

/** What a reader types to see the whole replay. */
const replayCommand = ({ workload, mode, eras }: StopFigures): string => {
  const [kind, ...implementation] = mode.split('-');
  const options = implementation.length > 0 ? ` --mmu-impl ${implementation.join('-')}` : '';
  return `mmu-eras replay ${workload} --mmu ${kind}${options} --eras ${eras.join(',')}`;
};

/** A list and no table: its links are longer than any column. */
function patchBlocks(patches: readonly PatchLinks[]): Block[] {
  if (patches.length === 0) return [];
  const items = patches.map(
    ({ number, subject, outcome, links }) =>
      `${number}. ${escaped(subject)} (${escaped(outcome)}): ${links.map(linkText).join(', ')}`,
  );
  return [heading(2, 'Patches'), markdown(items.join('\n'))];
}
