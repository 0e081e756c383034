// SPDX-License-Identifier: GPL-2.0-only
import { type Cell, textTable } from './table.ts';

/**
 * A report as data: what every face of it shows, in order. Strings are Markdown; text from outside goes through
 * `escaped` or `code`, so that it can be nothing but text.
 */
export type Block =
  | { readonly kind: 'heading'; readonly level: HeadingLevel; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'table'; readonly head: readonly string[]; readonly rows: readonly (readonly Cell[])[] }
  /** A chart by file name, with what it shows in words for those who cannot see it. */
  | { readonly kind: 'chart'; readonly file: string; readonly caption: string }
  /** A page of our own that is Markdown already. */
  | { readonly kind: 'markdown'; readonly markdown: string }
  /** Lines of code with what became of them; `caption` says where they are from. */
  | { readonly kind: 'diff'; readonly caption: string; readonly lines: readonly DiffLine[] }
  /** Blocks that a reader opens when they matter. */
  | { readonly kind: 'details'; readonly summary: string; readonly blocks: readonly Block[] };

/** `gap` stands for lines that are left out; its text says how many. */
export interface DiffLine {
  readonly mark: ' ' | '+' | '-' | 'gap';
  readonly text: string;
}

export type HeadingLevel = 1 | 2 | 3 | 4;

export const heading = (level: HeadingLevel, text: string): Block => ({ kind: 'heading', level, text });
export const text = (value: string): Block => ({ kind: 'text', text: value });
export const list = (items: readonly string[]): Block => ({ kind: 'list', items });
export const table = (head: readonly string[], rows: readonly (readonly Cell[])[]): Block => ({
  kind: 'table',
  head,
  rows,
});
export const chart = (file: string, caption: string): Block => ({ kind: 'chart', file, caption });
export const markdown = (value: string): Block => ({ kind: 'markdown', markdown: value });
export const diff = (caption: string, lines: readonly DiffLine[]): Block => ({ kind: 'diff', caption, lines });
export const details = (summary: string, blocks: readonly Block[]): Block => ({ kind: 'details', summary, blocks });

/** Text from outside as Markdown that says exactly this text: no markup, no HTML, no line breaks. */
export const escaped = (value: string): string =>
  oneLine(value)
    .replace(/[\\`*{}[\]<>#|~!&]/g, '\\$&')
    // Between letters an underscore is one, and identifiers stay readable.
    .replace(/(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, '\\_')
    // GitHub makes links of bare addresses.
    .replace(/\b(https?|ftp):\/\//gi, '$1:\\/\\/')
    .replace(
      /^(\s*)([-+=]|\d+[.)])/,
      (_, space: string, mark: string) => `${space}${mark.slice(0, -1)}\\${mark.at(-1)}`,
    );

/** Text from outside as a code span, whatever backticks it holds. */
export function code(value: string): string {
  const content = oneLine(value);
  if (content.trim() === '') return '';
  const longest = Math.max(0, ...(content.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return longest === 0 ? `${fence}${content}${fence}` : `${fence} ${content} ${fence}`;
}

// Control characters have no business in a report; a terminal would obey them.
const oneLine = (value: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  value.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');

/** For terminals and pipes. Markdown links are shown as text and address. */
export function renderText(blocks: readonly Block[]): string {
  return `${blocks.map(blockText).join('\n\n')}\n`;
}

/** GitHub-flavoured Markdown. */
export function renderMarkdown(blocks: readonly Block[]): string {
  return `${blocks.map(blockMarkdown).join('\n\n')}\n`;
}

function blockText(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return block.level === 1 ? `${plain(block.text)}\n${'='.repeat(plain(block.text).length)}` : plain(block.text);
    case 'text':
      return plain(block.text);
    case 'list':
      return block.items.map((item) => `- ${plain(item)}`).join('\n');
    case 'table':
      return textTable(
        block.head.map(plain),
        block.rows.map((row) => row.map((cell) => (typeof cell === 'string' ? plain(cell) : cell))),
      );
    case 'chart':
      return `${plain(block.caption)}: ${block.file}`;
    case 'markdown':
      return block.markdown.trimEnd();
    case 'diff':
      return [plain(block.caption), ...block.lines.map((line) => `    ${diffLine(line)}`)].join('\n');
    case 'details':
      return [plain(block.summary), ...block.blocks.map(blockText)].join('\n\n');
  }
}

/** One block as Markdown. */
export function blockMarkdown(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return `${'#'.repeat(block.level)} ${block.text}`;
    case 'text':
      return block.text;
    case 'list':
      return block.items.map((item) => `- ${item}`).join('\n');
    case 'table':
      return markdownTable(block.head, block.rows);
    case 'chart':
      return `![${block.caption}](${block.file})`;
    case 'markdown':
      return block.markdown.trimEnd();
    case 'diff':
      return [block.caption, '', '```diff', ...block.lines.map(diffLine), '```'].join('\n');
    case 'details': {
      // The empty lines let GitHub read what is inside as Markdown; a summary is HTML already.
      const inner = block.blocks.map(blockMarkdown).join('\n\n');
      return `<details>\n<summary>${htmlText(plain(block.summary))}</summary>\n\n${inner}\n\n</details>`;
    }
  }
}

/** As `diff -u` writes it; a gap is a line that opens a hunk. */
const diffLine = ({ mark, text: content }: DiffLine): string =>
  mark === 'gap' ? `@@ ${content} @@` : `${mark}${content}`.trimEnd();

function markdownTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]) => `| ${cells.map(escapeCell).join(' | ')} |`;
  return [
    line(head),
    `|${numericColumns(head, rows)
      .map((yes) => (yes ? ' ---: |' : ' --- |'))
      .join('')}`,
    ...rows.map(line),
  ].join('\n');
}

/** Columns that hold numbers alone, which are set to the right. */
export const numericColumns = (head: readonly string[], rows: readonly (readonly Cell[])[]): boolean[] =>
  head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));

/** A bar ends a cell even inside a code span; one that is escaped already stays as it is. */
const escapeCell = (cell: Cell): string => String(cell).replace(/\\?\|/g, '\\|').replaceAll('\n', ' ');

/** Text as it stands in HTML, attribute values included. */
export const htmlText = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Escape, code span, link, strong text: whatever starts first is read first, as Markdown has it. */
const marks = /\\([!-/:-@[-`{-~])|(?<!`)(`+)(?!`)(.*?[^`])\2(?!`)|\[((?:\\.|[^\]\\])+)\]\((#?)([^)]+)\)|\*\*(.+?)\*\*/g;

/** Without Markdown's marks for code, strong text and escapes; links become "text <address>", inner ones the text. */
export function plain(markdown: string): string {
  return markdown.replace(marks, (...found: (string | undefined)[]) => {
    const [, literal, , span, title, inner, url, strong] = found;
    if (literal !== undefined) return literal;
    if (span !== undefined) return span.replace(/^ (.*) $/, '$1');
    if (strong !== undefined) return plain(strong);
    return inner === '#' ? plain(title!) : `${plain(title!)} <${url}>`;
  });
}

/** The anchor that GitHub, and our own page, give a heading. */
export const anchorOf = (heading: string): string =>
  plain(heading)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
