// SPDX-License-Identifier: GPL-2.0-only

import { colourPaint, type Paint, patchLines, plainPaint, statLines, wordLines } from '../../upstream/render.ts';
import type { DiffPart } from '../../upstream/view.ts';
import { type Output, plainOutput } from '../terminal.ts';

/** How the lines of a diff are shown. */
export type DiffText = 'patch' | 'word' | 'stat';

/** Diffs as text. Without a terminal, what follows the heading is a patch that `git apply` takes. */
export function partsAsText(parts: readonly DiffPart[], view: DiffText, output: Output): string {
  const paint: Paint = output.bold('x') === 'x' ? plainPaint : colourPaint;
  return parts.map((part) => `${heading(part, output)}\n${body(part, view, paint, output.width)}`).join('\n');
}

function body({ files }: DiffPart, view: DiffText, paint: Paint, width: number): string {
  if (files.length === 0) return '';
  if (view === 'stat') return statLines(files, Math.min(width, plainOutput.width), paint);
  return view === 'word' ? wordLines(files, paint) : patchLines(files, paint);
}

/** A title, `Author: …` and the like, and the links on one line each. */
function heading({ title, facts, links }: DiffPart, output: Output): string {
  const width = Math.max(0, ...facts.map(([name]) => name.length)) + 1;
  return [
    output.bold(title),
    ...facts.map(([name, value]) => `${`${name}:`.padEnd(width)} ${value}`),
    ...links.map((link) => output.link(link.title, link.url)),
    '',
  ].join('\n');
}
