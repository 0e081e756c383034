// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { ReplayResult } from '../replay/record.ts';
import { type ReplayOptions, replay } from '../replay/run.ts';
import { loadWorkload } from '../workload/bundled.ts';
import { buildImage } from '../workload/image.ts';
import { compile } from '../workload/program.ts';
import { contentHash } from './versions.ts';

/** What a cell runs: a name for its contents, and how to run it. Other kinds of input than `.ops` take their place here. */
export interface CellWorkload {
  readonly hash: string;
  replay(era: Era, options: ReplayOptions): ReplayResult;
}

/** Loads a workload by bundled name, path or `gen:` text. UserError when it cannot be read, or its ops do not fit together. */
export function openWorkload(source: string): CellWorkload {
  const workload = loadWorkload(source);
  // What does not fit together is known before the first cell runs.
  compile(workload);
  buildImage(workload);
  return {
    hash: contentHash(JSON.stringify(workload)),
    replay: (era, options) => replay(era, workload, options),
  };
}
