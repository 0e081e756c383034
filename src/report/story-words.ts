// SPDX-License-Identifier: GPL-2.0-only
import type { FieldNote, StopWords, WordCell } from '../facts/index.ts';
import { type Block, code, list, table, text } from './document.ts';
import type { Cell } from './table.ts';

/** How to read the tables of role words, once a page. */
export const wordLegend: readonly Block[] = [
  text('The tables of role words:'),
  list([
    'A row is a set of words that was in force at guest entries at the same time. Rows stand in the order of the replay.',
    `The first word is decoded whole, with the layout of its own era. Fields that are 0 are left out; those after ${code('ext:')} are in the extended half.`,
    'Below it stands what changed since the row above, beside it what the other era has otherwise.',
    `${code('+f')} is set and was not; ${code('-f')} was set and is not; ${code('f=4→0')} had another value; ${code('f=1 → g=0')} has another name now.`,
    `${code('new')} and ${code('gone')} come before fields that are set and that only the one or only the other layout has.`,
  ]),
];

/** The words of one figure, two columns an era: the word, and what its fields say. */
export function wordTable({ figure, columns, rows }: StopWords): Block {
  const head = columns.flatMap(({ era, word, extended }, at) => [
    at === 0 ? `${figure}: ${era}` : era,
    `${code(word)}${extended ? '' : ', 32 bits'}${at === 0 ? '' : `, against ${columns[at - 1]!.era}`}`,
  ]);
  return table(
    head,
    rows.map((row) => row.flatMap((cell): Cell[] => [code(cell.hex), notesText(cell)])),
  );
}

const sameAs: Readonly<Record<WordCell['against'], string>> = {
  nothing: 'no field set',
  above: 'as above',
  left: 'the same',
};

function notesText({ against, notes }: WordCell): string {
  if (notes.length === 0) return sameAs[against];
  const half = (name: FieldNote['half']): string => groups(notes.filter((note) => note.half === name));
  const [base, ext] = [half('base'), half('ext')];
  return [...(base === '' ? [] : [base]), ...(ext === '' ? [] : [`ext: ${ext}`])].join('; ');
}

/** What is set or changed first, then what only one of two layouts has. */
function groups(notes: readonly FieldNote[]): string {
  const [fresh, gone] = (['new', 'gone'] as const).map((what) => notes.filter((note) => note.what === what));
  const rest = notes.filter(({ what }) => what !== 'new' && what !== 'gone');
  const list = (title: string, some: readonly FieldNote[]): string[] =>
    some.length === 0 ? [] : [`${title}${code(some.map(fieldText).join(' '))}`];
  return [...list('', rest), ...list('new ', fresh!), ...list('gone ', gone!)].join(', ');
}

function fieldText({ what, name, width, value, before, formerly }: FieldNote): string {
  if (what === 'renamed') return `${formerly}=${before} → ${name}=${value}`;
  if (what !== 'changed') return width > 1 ? `${name}=${value}` : name;
  if (width === 1) return `${value === '1' ? '+' : '-'}${name}`;
  // Rights have names behind their number, and want more room.
  return `${name}=${before}${before.includes(' ') ? ' → ' : '→'}${value}`;
}
