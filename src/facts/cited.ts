// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CitedCommit } from './cited-schema.ts';
import { commitsFolder } from './load.ts';

export type { CitedCommit } from './cited-schema.ts';

let cached: readonly CitedCommit[] | undefined;

/** commits/cited.json, read once a process. A test holds it against its schema, which takes time to load. */
export function citedCommits(): readonly CitedCommit[] {
  if (!cached) {
    const text = readFileSync(join(commitsFolder(), 'cited.json'), 'utf8');
    // Its shape is that of the schema, which the test has checked.
    const { commits } = JSON.parse(text) as { readonly commits: readonly CitedCommit[] };
    cached = commits;
  }
  return cached;
}
