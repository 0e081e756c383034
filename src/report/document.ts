// SPDX-License-Identifier: GPL-2.0-only
import { type Cell, textTable } from './table.ts';

/** A report as data: what every face of it shows, in order. */
export type Block =
  | { readonly kind: 'heading'; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'table'; readonly head: readonly string[]; readonly rows: readonly (readonly Cell[])[] }
  /** A chart by file name, with what it shows in words for those who cannot see it. */
  | { readonly kind: 'chart'; readonly file: string; readonly caption: string };

export const heading = (level: 1 | 2 | 3, text: string): Block => ({ kind: 'heading', level, text });
export const text = (value: string): Block => ({ kind: 'text', text: value });
export const list = (items: readonly string[]): Block => ({ kind: 'list', items });
export const table = (head: readonly string[], rows: readonly (readonly Cell[])[]): Block => ({
  kind: 'table',
  head,
  rows,
});
export const chart = (file: string, caption: string): Block => ({ kind: 'chart', file, caption });

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
        block.head,
        block.rows.map((row) => row.map((cell) => (typeof cell === 'string' ? plain(cell) : cell))),
      );
    case 'chart':
      return `${block.caption}: ${block.file}`;
  }
}

function blockMarkdown(block: Block): string {
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
  }
}

function markdownTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]) => `| ${cells.map(escapeCell).join(' | ')} |`;
  const numeric = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  return [
    line(head),
    `|${numeric.map((isNumber) => (isNumber ? ' ---: |' : ' --- |')).join('')}`,
    ...rows.map(line),
  ].join('\n');
}

const escapeCell = (cell: Cell): string => String(cell).replaceAll('|', '\\|').replaceAll('\n', ' ');

/** Without Markdown's marks for code and strong text; links become "text <address>". */
function plain(markdown: string): string {
  return markdown
    .replace(/\[([^\]]+)\]\(([^)]+)\)/g, '$1 <$2>')
    .replace(/\*\*([^*]+)\*\*/g, '$1')
    .replace(/`([^`]+)`/g, '$1');
}
