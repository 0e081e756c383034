// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../root.ts';
import { findDefinitions } from '../upstream/definition.ts';

/**
 * The code of one declaration of a port, without comments and with single spaces, so that two ports can be compared; null
 * when the file has none of that name. `file` is a path such as `snapshots/2022-02-v5.17/calc.ts`.
 */
export function codeOf(file: string, name: string): string | null {
  const text = readFileSync(join(projectRoot().folder, file), 'utf8');
  const lines = text.split('\n');
  const found = findDefinitions(text, name);
  if (found.length === 0) return null;
  return found
    .map(({ first, last }) => lines.slice(first - 1, last).join('\n'))
    .join('\n')
    .replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/[^\n]*/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
