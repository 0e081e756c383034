// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { HostOptions } from '../replay/host.ts';
import type { ReplayResult } from '../replay/record.ts';
import { withTrace } from '../trace/files.ts';
import { isTracePreset } from '../trace/generate/presets.ts';
import type { TraceReader } from '../trace/reader.ts';
import { inFile, replayTrace } from '../trace/replay-file.ts';
import { generatorSpec } from '../workload/bundled.ts';

/** Says on stderr what a salvaged file has lost. */
function warnOfDamage({ damage }: TraceReader): void {
  if (damage !== null) process.stderr.write(`${damage.message}\n  only what is whole before it was taken\n`);
}

/** Whether a name is that of a trace: a .mmut file, or `gen:` with one of the named traces. */
export const isTrace = (name: string): boolean =>
  name.endsWith('.mmut') || isTracePreset(generatorSpec(name)?.name ?? '');

/** Replays a trace under several eras. UserError for a damaged file, or an event that its guest cannot do. */
export async function replayNamedTrace(
  path: string,
  eras: readonly Era[],
  { salvage, ...options }: HostOptions & { readonly salvage: boolean },
): Promise<ReplayResult[]> {
  const spec = generatorSpec(path);
  if (spec && isTracePreset(spec.name)) {
    const { generatedHeader, traceSpec } = await import('../trace/generate/options.ts');
    const { tracePieces } = await import('../trace/generate/stream.ts');
    const trace = traceSpec(spec.name, spec.given);
    const pieces = () => tracePieces(trace);
    return await replayTrace({ header: generatedHeader(spec.name, trace), pieces, damage: null }, eras, options);
  }
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
