// SPDX-License-Identifier: GPL-2.0-only
import type { UseRow, UsesReport } from '../replay/uses.ts';
import { csvCell } from './csv.ts';
import { type Block, code, escaped, heading, renderText, table, text } from './document.ts';

/** Columns of the text form, and how a title leads to its address there. */
export interface UsesTextOptions {
  readonly width: number;
  /** A title that opens the address, or the title alone where that cannot be. */
  link(title: string, url: string): string;
}

/** What each word is for, where one sentence holds for every era that has it. */
const meanings: Readonly<Record<string, string>> = {
  cpu_role: "How the guest's own tables are walked and judged.",
  root_role: 'What the tables KVM builds look like, and who may share them.',
  page_role: 'The role of one page of the tables KVM builds.',
  mmu: 'Members of struct kvm_mmu that repeat a role or follow from one.',
};

/** Widths of the text form's columns but for "why", which takes what is left: the longest function, two fields, a file. */
const FUNCTION_WIDTH = 34;
const FIELDS_WIDTH = 28;
const UPSTREAM_WIDTH = 19;
const GAPS = 6;

/** When is which role word used: a table a word, as the ports really read them. */
export const usesMarkdown = (reports: readonly UsesReport[]): Block[] =>
  document(reports, {
    row: (row, last) => [code(row.function), escaped(fieldText(row)), escaped(last), upstream(row)],
    word: code,
  });

const upstream = (row: UseRow): string => (row.url === '' ? '' : `[${escaped(placeOf(row))}](${row.url})`);

/** The same for terminals and pipes, at most `width` columns wide. */
export const usesText = (reports: readonly UsesReport[], options: UsesTextOptions): string =>
  reports.map((report) => eraText(report, options)).join('\n');

function eraText(report: UsesReport, { width, link }: UsesTextOptions): string {
  const rest = Math.max(20, width - FUNCTION_WIDTH - FIELDS_WIDTH - UPSTREAM_WIDTH - GAPS);
  const links = new Map<string, string>();
  const blocks = document([report], {
    row: (row, last) => {
      if (row.url !== '') links.set(placeOf(row), row.url);
      return [row.function, wrap(fieldText(row), FIELDS_WIDTH), wrap(last, rest), placeOf(row)];
    },
    word: (word) => word,
  });
  // A place is a title only after the columns are laid out: the address would count as text.
  return renderText(blocks).replace(/\w+\.[ch](?::\d+)?$/gm, (place) => {
    const url = links.get(place);
    return url === undefined ? place : link(place, url);
  });
}

interface Form {
  row(row: UseRow, last: string): string[];
  word(word: string): string;
}

function document(reports: readonly UsesReport[], { row, word }: Form): Block[] {
  return reports.flatMap(({ era, workloads, rows }) => {
    const modelled = rows.filter(({ notModelled }) => notModelled === undefined);
    const leftOut = rows.filter(({ notModelled }) => notModelled !== undefined);
    const words = [...new Set(modelled.map((each) => each.word))];
    return [
      heading(1, `Who reads which role word in ${era}`),
      text(`Counted over: ${workloads.join(', ')}.`),
      ...words.flatMap((name) => [
        heading(2, word(name)),
        ...(meanings[name] === undefined ? [] : [text(meanings[name])]),
        table(
          ['function', 'fields (times read)', 'why', 'upstream'],
          modelled.filter((each) => each.word === name).map((each) => row(each, whyText(each))),
        ),
      ]),
      ...(leftOut.length === 0
        ? []
        : [
            heading(2, 'Not in the port'),
            table(
              ['function', 'would read', 'left out because', 'upstream'],
              leftOut.map((each) => row(each, each.notModelled ?? '')),
            ),
          ]),
    ];
  });
}

const whyText = ({ listed, why }: UseRow): string => (listed ? why : 'not in the table of this era');

const fieldText = ({ fields, notModelled, word }: UseRow): string =>
  fields.map(({ name, reads }) => (notModelled === undefined ? `${name} (${reads})` : `${word}.${name}`)).join(', ');

/** File and line upstream: `mmu.c:4841`. */
const placeOf = ({ file, line }: UseRow): string =>
  `${file.slice(file.lastIndexOf('/') + 1)}${line === undefined ? '' : `:${line}`}`;

/** Breaks between words, so that no line is longer than `width` unless a word is. */
function wrap(value: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  // A count stays with its field.
  for (const word of value.split(/ (?!\()/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}

/** One field a line. `not_modelled` says why a read can never be counted. */
export function usesCsv(reports: readonly UsesReport[]): string {
  const lines = reports.flatMap(({ era, rows }) =>
    rows.flatMap(({ function: by, word, fields, listed, why, url, notModelled }) =>
      fields.map(({ name, reads }) =>
        [era, by, word, name, String(reads), String(listed), why, url, notModelled ?? ''].map(csvCell).join(','),
      ),
    ),
  );
  return ['era,function,word,field,reads,listed,why,url,not_modelled', ...lines, ''].join('\n');
}

export const usesJson = (reports: readonly UsesReport[]): string => `${JSON.stringify({ eras: reports }, null, 1)}\n`;
