// SPDX-License-Identifier: GPL-2.0-only
import { expect, test } from 'vitest';
import { type ProgressForm, progressOf } from '../../src/cli/progress.ts';

/** What is written for three steps of four, one of which was done before. */
function told(form: ProgressForm, stream: { isTTY?: boolean; columns?: number }): string {
  let text = '';
  const progress = progressOf('sweep', form, {
    ...stream,
    write(piece) {
      text += piece;
    },
  });
  progress.start(4, 1);
  for (const item of ['a', 'b', 'c']) progress.step(item);
  progress.end();
  return text;
}

test('on a terminal a bar, which is gone at the end', () => {
  const pictures = told('auto', { isTTY: true }).split('\r\u001b[K');
  expect(pictures[1]).toBe('[######..................] 1/4 ');
  expect(pictures.at(-2)).toBe('[########################] 4/4 c');
  expect(pictures.at(-1)).toBe('');
});

test('the bar stays in its line', () => {
  for (const picture of told('auto', { isTTY: true, columns: 30 }).split('\r\u001b[K')) {
    expect(picture.length).toBeLessThan(30);
  }
});

test('elsewhere nothing', () => {
  expect(told('auto', {})).toBe('');
  expect(told('none', { isTTY: true })).toBe('');
});

test('JSON lines wherever they are asked for', () => {
  for (const isTTY of [true, false]) {
    expect(
      told('ndjson', { isTTY })
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { progress: 'sweep', done: 1, total: 4 },
      { progress: 'sweep', done: 2, total: 4, item: 'a' },
      { progress: 'sweep', done: 3, total: 4, item: 'b' },
      { progress: 'sweep', done: 4, total: 4, item: 'c' },
    ]);
  }
});

test('nothing to do is all done', () => {
  let text = '';
  const progress = progressOf('x', 'auto', { isTTY: true, write: (piece) => (text += piece) });
  progress.start(0);
  progress.end();
  expect(text).toContain('[########################] 0/0');
});

test('of things too many to name, a line for each hundredth', () => {
  let text = '';
  const progress = progressOf('gen', 'ndjson', { write: (piece) => (text += piece) });
  progress.start(1000);
  for (let i = 0; i < 1000; i++) progress.advance(1);
  const lines = text.trimEnd().split('\n');
  expect(lines).toHaveLength(101);
  expect(JSON.parse(lines.at(-1)!)).toEqual({ progress: 'gen', done: 1000, total: 1000 });
});
