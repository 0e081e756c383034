// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { HostOptions } from '../replay/host.ts';
import type { ReplayResult } from '../replay/record.ts';
import { withTrace } from '../trace/files.ts';
import { generatedTrace } from '../trace/names.ts';
import type { TraceReader } from '../trace/reader.ts';
import { inFile, replayTrace } from '../trace/replay-file.ts';

/** Says on stderr what a salvaged file has lost. */
function warnOfDamage({ damage }: TraceReader): void {
  if (damage !== null) process.stderr.write(`${damage.message}\n  only what is whole before it was taken\n`);
}

/** Replays a trace under several eras. UserError for a damaged file, or an event that its guest cannot do. */
export async function replayNamedTrace(
  path: string,
  eras: readonly Era[],
  { salvage, ...options }: HostOptions & { readonly salvage: boolean },
): Promise<ReplayResult[]> {
  const generated = generatedTrace(path);
  if (generated !== null) return await replayTrace(generated, eras, options);
  try {
    return await withTrace(path, { salvage }, async (reader) => {
      const results = await replayTrace(reader, eras, options);
      warnOfDamage(reader);
      return results;
    });
  } catch (error) {
    throw inFile(error, path);
  }
}
