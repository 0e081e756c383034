// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { marked } from 'marked';
import { expect, it } from 'vitest';
import {
  code,
  details,
  escaped,
  heading,
  list,
  plain,
  renderMarkdown,
  renderText,
  table,
  text,
} from '../../src/report/document.ts';

const unescapedHtml = (html: string): string =>
  html
    .replace(/<\/?(p|code|h1|li|ul)>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .trim();

const hostile = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '[x](javascript:alert(1))',
  '![x](https://example.org/x.png)',
  '`` ` <b> ` ``',
  '</details></summary>',
  '# heading',
  '1. item',
  '- item',
  '---',
  '&lt;b&gt; &amp; &#60;',
  'https://example.org/?a=b',
  'a | b \\| c',
  '***strong*** ~~gone~~ __x__',
  '\\',
];

it.each(hostile)('text from outside stays text in Markdown: %s', (value) => {
  const html = marked.parse(escaped(value), { async: false });
  expect(html).not.toMatch(/<(?!\/?p>)/);
  expect(unescapedHtml(html)).toBe(value);
});

it.each(hostile)('text from outside stays text in a code span: %s', (value) => {
  const html = marked.parse(`x ${code(value)}`, { async: false });
  expect(html).not.toMatch(/<(?!\/?(p|code)>)/);
  expect(unescapedHtml(html)).toBe(`x ${value}`);
});

it('no text escapes from its escaping', () => {
  const words = fc.array(fc.constantFrom(...'ab<>&`*_[]()!|\\#-+=~:/"\'.1 ')).map((chars) => chars.join(''));
  fc.assert(
    fc.property(words, (value) => {
      const html = marked.parse(`x ${escaped(value)} y`, { async: false });
      expect(html).not.toMatch(/<(?!\/?p>)/);
      expect(plain(escaped(value))).toBe(value);
      expect(plain(code(value)).trim()).toBe(value.trim());
    }),
  );
});

it('control characters never reach a terminal', () => {
  expect(plain(escaped('a\u001b[31mb\nc'))).toBe('a [31mb c');
});

it('a table is Markdown with numbers to the right and bars escaped', () => {
  expect(renderMarkdown([table(['era', 'loads'], [['a|b', 1]])])).toBe(
    '| era | loads |\n| --- | ---: |\n| a\\|b | 1 |\n',
  );
});

it('the text face has no marks', () => {
  const blocks = [
    heading(1, 'One'),
    text(`**strong** ${code('a`b')} [title](https://example.org/) [inner](#one)`),
    list(['`op`']),
    details('more `x`', [text('inside')]),
  ];
  expect(renderText(blocks)).toBe(
    'One\n===\n\nstrong a`b title <https://example.org/> inner\n\n- op\n\nmore x\n\ninside\n',
  );
});

it('details are Markdown inside HTML, their summary is escaped', () => {
  expect(renderMarkdown([details('a < `b`', [text('inside')])])).toBe(
    '<details>\n<summary>a &lt; b</summary>\n\ninside\n\n</details>\n',
  );
});
