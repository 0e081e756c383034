// SPDX-License-Identifier: GPL-2.0-only
import { Marked } from 'marked';
import { anchorOf, type Block, blockMarkdown, type DiffLine, htmlText, numericColumns, plain } from './document.ts';
import { htmlShell } from './html-shell.ts';
import { pageStyle } from './html-style.ts';
import { type Svg, styleOf, withoutStyle } from './svg.ts';
import type { Cell } from './table.ts';

/** Markdown to HTML that lets nothing through but what Markdown itself makes: no raw HTML, no outside resources. */
const marked = new Marked({
  renderer: {
    html: ({ text }) => htmlText(text),
    image: ({ text }) => htmlText(text),
    link(token) {
      const inner = this.parser.parseInline(token.tokens);
      return /^(https:\/\/|#|eras\/[\w.-]+\.html$)/.test(token.href)
        ? `<a href="${htmlText(token.href)}">${inner}</a>`
        : inner;
    },
  },
});

/** One self-contained page. `pictures` holds the charts by file name. */
export function renderHtml(blocks: readonly Block[], pictures: ReadonlyMap<string, Svg>): string {
  const page = new Page(pictures);
  const body = blocks.map((block) => page.block(block)).join('\n');
  const [first] = pictures.values();
  return htmlShell(page.title, `${pageStyle}${first ? styleOf(first) : ''}`, [
    `<nav aria-label="Contents"><details open><summary>Contents</summary>${page.contents()}</details></nav>`,
    `<main>${body}</main>`,
  ]);
}

class Page {
  title = '';
  readonly #pictures: ReadonlyMap<string, Svg>;
  readonly #headings: { readonly level: number; readonly id: string; readonly html: string }[] = [];
  readonly #ids = new Map<string, number>();

  constructor(pictures: ReadonlyMap<string, Svg>) {
    this.#pictures = pictures;
  }

  block(block: Block): string {
    switch (block.kind) {
      case 'heading':
        return this.#heading(block.level, block.text);
      case 'table':
        return tableHtml(block.head, block.rows);
      case 'chart':
        return this.#chart(block.file, block.caption);
      case 'diff':
        return diffHtml(block.caption, block.lines);
      case 'details': {
        const inner = block.blocks.map((one) => this.block(one)).join('\n');
        return `<details><summary>${inlineHtml(block.summary)}</summary>\n${inner}\n</details>`;
      }
      case 'text':
      case 'list':
      case 'markdown':
        return scrollTables(marked.parse(blockMarkdown(block), { async: false })).trimEnd();
    }
  }

  /** Links to the headings of levels 2 and 3. */
  contents(): string {
    const lines: string[] = [];
    for (const { level, id, html } of this.#headings) {
      if (level === 2) lines.push(`${lines.length > 0 ? '</ul></li>' : ''}<li><a href="#${id}">${html}</a><ul>`);
      if (level === 3) lines.push(`<li><a href="#${id}">${html}</a></li>`);
    }
    return `<ul>${lines.join('')}${lines.length > 0 ? '</ul></li>' : ''}</ul>`.replaceAll('<ul></ul>', '');
  }

  #heading(level: number, markdown: string): string {
    const html = inlineHtml(markdown);
    if (level === 1) this.title = plain(markdown);
    const name = anchorOf(markdown);
    const times = this.#ids.get(name) ?? 0;
    this.#ids.set(name, times + 1);
    const id = times === 0 ? name : `${name}-${times}`;
    if (level < 4) this.#headings.push({ level, id: htmlText(id), html });
    // Headings of level 4 repeat in every section; nobody links to the thirtieth of a kind.
    return level === 4 ? `<h4>${html}</h4>` : `<h${level} id="${htmlText(id)}">${html}</h${level}>`;
  }

  #chart(file: string, caption: string): string {
    const svg = this.#pictures.get(file);
    if (svg === undefined) throw new Error(`no picture ${file}`);
    return `<figure><div class="scroll">${withoutStyle(svg)}</div><figcaption>${inlineHtml(caption)}</figcaption></figure>`;
  }
}

/** Most cells hold no mark at all, and there are many. */
const inlineHtml = (markdown: string): string =>
  /^[\w ,./:()=+%^›-]*$/.test(markdown) && !/__|:\/\/|www\./.test(markdown)
    ? markdown
    : marked.parseInline(markdown, { async: false });

/** Figures are most of a page, so a table of them says once from which column on its cells stand to the right. */
function tableHtml(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const numeric = numericColumns(head, rows);
  const hasFigures = head.map((_, column) => rows.some((row) => typeof row[column] === 'number'));
  const figuresFrom = hasFigures.lastIndexOf(false) + 1;
  const oneRule = figuresFrom <= 2 && figuresFrom < head.length;
  const cellOf = (cell: Cell, column: number): string => {
    if (oneRule && column >= figuresFrom) return `<td>${typeof cell === 'number' ? cell : inlineHtml(cell)}`;
    return typeof cell === 'number' ? `<td class=n>${cell}` : cellHtml(cell);
  };
  const titles = head.map((title, column) => {
    const right = numeric[column] && !oneRule;
    return `<th${right ? ' class=n' : ''} scope=col>${inlineHtml(title)}`;
  });
  const body = rows.map((row) => `<tr>${row.map(cellOf).join('')}`).join('\n');
  const rule = oneRule ? ` class=f${figuresFrom}` : '';
  return `<div class="scroll"><table${rule}><thead><tr>${titles.join('')}</thead>\n<tbody>\n${body}\n</tbody></table></div>`;
}

/** Short names and dates are not broken at their hyphens. */
const cellHtml = (cell: string): string =>
  `<td${/^([\w.^-]{2,16}|(\*\*)?\d+(\*\*)? \/ (\*\*)?\d+(\*\*)?)$/.test(cell) ? ' class=s' : ''}>${inlineHtml(cell)}`;

const diffClasses: Readonly<Record<DiffLine['mark'], string>> = { ' ': '', '+': 'a', '-': 'd', gap: 'g' };

/** The sign stays in the text, so that colour is not all that tells; comments step back. */
function diffHtml(caption: string, lines: readonly DiffLine[]): string {
  const rows = lines.map(({ mark, text }) => {
    const line = mark === 'gap' ? `⋯ ${htmlText(text)}` : `${mark}${withComment(text)}`;
    return diffClasses[mark] === '' ? `<span>${line}</span>` : `<span class=${diffClasses[mark]}>${line}</span>`;
  });
  return `<figure class=diff><figcaption>${inlineHtml(caption)}</figcaption><pre class=scroll tabindex=0><code>${rows.join('')}</code></pre></figure>`;
}

const withComment = (text: string): string => htmlText(text).replace(/^(\s*)(\/\/.*|\/?\*.*)$/, '$1<i>$2</i>');

const scrollTables = (html: string): string =>
  html.replaceAll('<table>', '<div class="scroll"><table>').replaceAll('</table>', '</table></div>');
