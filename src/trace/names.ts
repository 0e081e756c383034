// SPDX-License-Identifier: GPL-2.0-only
import { generatorSpec } from '../workload/bundled.ts';
import { generatedHeader, traceSpec } from './generate/options.ts';
import { isTracePreset } from './generate/presets.ts';
import { tracePieces } from './generate/stream.ts';
import type { TraceToReplay } from './replay-file.ts';

/** Whether a name is that of a trace: a .mmut file, or `gen:` with one of the named traces. */
export const isTrace = (name: string): boolean =>
  name.endsWith('.mmut') || isTracePreset(generatorSpec(name)?.name ?? '');

/** The trace of `gen:NAME?option=value`; null for any other name. UserError for options that the trace does not have. */
export function generatedTrace(text: string): TraceToReplay | null {
  const { name, given } = generatorSpec(text) ?? { name: '', given: {} };
  if (!isTracePreset(name)) return null;
  const spec = traceSpec(name, given);
  return {
    header: generatedHeader(name, spec),
    events: spec.events,
    pieces: () => tracePieces(spec),
    damage: null,
  };
}
