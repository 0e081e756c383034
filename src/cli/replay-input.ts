// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { HostOptions } from '../replay/host.ts';
import type { ReplayResult } from '../replay/record.ts';
import { replay } from '../replay/run.ts';
import { loadWorkload } from '../workload/bundled.ts';
import { type ProgressForm, progressOf } from './progress.ts';

/** What is replayed, and what is told meanwhile. */
export interface ReplayInput extends HostOptions {
  /** Name of the command, for progress. */
  readonly command: string;
  readonly progress: ProgressForm;
  /** Take what is whole of a damaged .mmut file. */
  readonly salvage: boolean;
}

/** Replays what the user named, a workload or a trace, under several eras; results in their order. */
export async function replayNamed(
  name: string,
  eras: readonly Era[],
  { command, progress: form, salvage, ...host }: ReplayInput,
): Promise<ReplayResult[]> {
  const progress = progressOf(command, form);
  try {
    const { isTrace } = await import('../trace/names.ts');
    if (isTrace(name)) {
      const { replayNamedTrace } = await import('./trace-input.ts');
      return await replayNamedTrace(name, eras, { ...host, salvage, progress });
    }
    const workload = loadWorkload(name);
    progress.start(eras.length);
    return eras.map((era) => {
      const result = replay(era, workload, host);
      progress.step(era.id);
      return result;
    });
  } finally {
    progress.end();
  }
}
