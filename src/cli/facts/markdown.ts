// SPDX-License-Identifier: GPL-2.0-only
import { marked, type Token, type Tokens } from 'marked';
import type { Output } from '../terminal.ts';
import { sheetsAsText } from './sheet.ts';
import { wrap } from './wrap.ts';

/** Markdown as plain text: headings on lines of their own, wrapped paragraphs and lists, boxed tables, links spelled out. */
export function plainMarkdown(markdown: string, output: Output): string {
  const width = Math.min(output.width, 100);
  const blocks = marked
    .lexer(markdown)
    .map((token) => block(token, output, width))
    .filter((text) => text !== '');
  return `${blocks.join('\n\n')}\n`;
}

/** A page of its own, without scripts or outside resources. */
export function htmlPage(title: string, markdown: string): string {
  const body = marked.parse(markdown, { async: false });
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(title)}</title>`,
    '<style>',
    'body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }',
    'table { border-collapse: collapse; } th, td { border: 1px solid #888; padding: 0.2rem 0.6rem; text-align: left; }',
    'code { font-family: ui-monospace, monospace; }',
    '</style>',
    '</head>',
    '<body>',
    body.trimEnd(),
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function block(token: Token, output: Output, width: number): string {
  switch (token.type) {
    case 'heading': {
      const { tokens, depth } = token as Tokens.Heading;
      const text = inline(tokens, output);
      // The rule below keeps the level visible where there is no bold face.
      return depth > 2 ? output.bold(text) : `${output.bold(text)}\n${(depth === 1 ? '=' : '-').repeat(text.length)}`;
    }
    case 'paragraph':
      return wrap(inline((token as Tokens.Paragraph).tokens, output), width);
    case 'list':
      return listLines(token as Tokens.List, output, width).join('\n');
    case 'table': {
      const { header, rows } = token as Tokens.Table;
      const cells = (row: readonly Tokens.TableCell[]): string[] => row.map(({ tokens }) => inline(tokens, output));
      return sheetsAsText([{ title: '', head: cells(header), rows: rows.map(cells) }], output).trimEnd();
    }
    case 'code':
      return (token as Tokens.Code).text
        .split('\n')
        .map((line) => `    ${line}`)
        .join('\n');
    case 'blockquote':
      return (token as Tokens.Blockquote).tokens.map((inner) => block(inner, output, width - 4)).join('\n\n');
    case 'space':
      return '';
    default:
      return token.raw.trimEnd();
  }
}

function listLines(list: Tokens.List, output: Output, width: number): string[] {
  return list.items.map((item, index) => {
    const mark = list.ordered ? `${Number(list.start || 1) + index}. ` : '- ';
    const indent = ' '.repeat(mark.length);
    const parts = item.tokens.map((token) => {
      if (token.type === 'list') {
        const inner = listLines(token as Tokens.List, output, width - indent.length).join('\n');
        return inner
          .split('\n')
          .map((line) => indent + line)
          .join('\n');
      }
      const text = 'tokens' in token && token.tokens ? inline(token.tokens, output) : token.raw;
      return wrap(text, width - indent.length, indent);
    });
    return mark + parts.join('\n');
  });
}

function inline(tokens: readonly Token[], output: Output): string {
  return tokens
    .map((token): string => {
      if (token.type === 'link') {
        const { href, tokens: inner } = token as Tokens.Link;
        return output.link(inline(inner, output), href);
      }
      if (token.type === 'br') return '\n';
      if (token.type === 'codespan') return (token as Tokens.Codespan).text;
      if ('tokens' in token && token.tokens) return inline(token.tokens, output);
      return 'text' in token ? String(token.text) : token.raw;
    })
    .join('');
}
