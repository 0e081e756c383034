// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { html } from 'diff2html';
import { htmlText } from '../report/document.ts';
import { htmlShell } from '../report/html-shell.ts';
import { patchText } from './patch.ts';
import type { DiffPart } from './view.ts';

/** One page with the diffs: a single one with its two sides next to each other, two of them next to each other. */
export function diffPage(parts: readonly DiffPart[], { word = false } = {}): string {
  const title = parts.map((part) => part.title).join(' | ');
  const alone = parts.length === 1;
  return htmlShell(title, `${styleOfDiffs()}${style}`, [
    `<main class="${alone ? 'one' : 'two'}">`,
    ...parts.map((part) => section(part, alone, word)),
    '</main>',
  ]);
}

function section({ kind, title, facts, links, files }: DiffPart, alone: boolean, word: boolean): string {
  const diff = html(patchText(files), {
    outputFormat: alone ? 'side-by-side' : 'line-by-line',
    drawFileList: true,
    matching: word ? 'words' : 'lines',
    diffStyle: 'word',
    // diff2html is typed with an enum whose values these words are.
    colorScheme: 'auto' as never,
  });
  return [
    `<section aria-label="${kind === 'upstream' ? 'Upstream' : 'Ports'}">`,
    `<h1>${htmlText(title)}</h1>`,
    '<dl>',
    ...facts.map(([name, value]) => `<dt>${htmlText(name)}</dt><dd>${htmlText(value)}</dd>`),
    '</dl>',
    ...(links.length === 0 ? [] : [`<p>${links.map((link) => anchor(link.title, link.url)).join(', ')}</p>`]),
    files.length === 0 ? '<p>No difference.</p>' : diff,
    '</section>',
  ].join('\n');
}

const anchor = (title: string, url: string): string => `<a href="${htmlText(url)}">${htmlText(title)}</a>`;

/** The style that comes with diff2html. */
const styleOfDiffs = (): string =>
  readFileSync(createRequire(import.meta.url).resolve('diff2html/bundles/css/diff2html.min.css'), 'utf8').trim();

const style = [
  'body{margin:0;font:15px/1.5 system-ui,sans-serif}',
  'main{padding:0 1rem 3rem}',
  'main.two{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1.5rem}',
  'h1{font-size:1.2rem;overflow-wrap:anywhere}',
  'dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem;margin:.5rem 0}',
  'dd{margin:0;overflow-wrap:anywhere}',
  '@media (max-width:60rem){main.two{grid-template-columns:minmax(0,1fr)}}',
  '@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#6cb6ff}}',
].join('');
