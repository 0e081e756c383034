// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { HostOptions } from '../replay/host.ts';
import type { ReplayResult } from '../replay/record.ts';
import { withTrace } from '../trace/files.ts';
import { generatedTrace } from '../trace/names.ts';
import type { TraceReader } from '../trace/reader.ts';
import { inFile, replayTrace, type TraceToReplay } from '../trace/replay-file.ts';
import type { Progress } from './progress.ts';

/** Says on stderr what a salvaged file has lost. */
function warnOfDamage({ damage }: TraceReader): void {
  if (damage !== null) process.stderr.write(`${damage.message}\n  only what is whole before it was taken\n`);
}

/** Replays a trace under several eras. UserError for a damaged file, or an event that its guest cannot do. */
export async function replayNamedTrace(
  path: string,
  eras: readonly Era[],
  { salvage, progress, ...host }: HostOptions & { readonly salvage: boolean; readonly progress: Progress },
): Promise<ReplayResult[]> {
  const replayed = async (trace: TraceToReplay): Promise<ReplayResult[]> => {
    // What a damaged file does not tell shows in the end.
    if (trace.events !== null) progress.start(trace.events);
    const onEvents = trace.events === null ? () => {} : (count: number) => progress.advance(count);
    return await replayTrace(trace, eras, { ...host, onEvents });
  };
  const generated = generatedTrace(path);
  if (generated !== null) return await replayed(generated);
  try {
    return await withTrace(path, { salvage }, async (reader) => {
      const results = await replayed(reader);
      progress.end();
      warnOfDamage(reader);
      return results;
    });
  } catch (error) {
    throw inFile(error, path);
  }
}
