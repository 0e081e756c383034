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
      return sheetsAsText([{ title: '', head: cells(header), rows: rows.map(cells) }], { ...output, width }).trimEnd();
    }
    case 'code':
      return codeLines(token as Tokens.Code, output);
    case 'blockquote':
      return (token as Tokens.Blockquote).tokens.map((inner) => block(inner, output, width - 4)).join('\n\n');
    case 'space':
      return '';
    default:
      return token.raw.trimEnd();
  }
}

/** Indented; lines of a diff in the colours that diffs have. */
const codeLines = ({ text, lang }: Tokens.Code, output: Output): string =>
  text
    .split('\n')
    .map((line) => `    ${lang === 'diff' ? output.diffLine(line) : line}`)
    .join('\n');

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
