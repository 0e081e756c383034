// SPDX-License-Identifier: GPL-2.0-only
import { type TracePresetName, tracePresets } from '../../src/trace/generate/presets.ts';
import { type TraceSpec, wholeTrace } from '../../src/trace/generate/stream.ts';

/** How addresses are translated: one dimension, guest tables over nested ones, shadow tables filled by a port. */
export type Translation = 'native' | 'twod' | 'shadow';

/** One row of the table of workloads; the C program has the same rows under the same names. */
export interface BenchWorkload extends TraceSpec {
  readonly name: TracePresetName;
  readonly translation: Translation;
  /** With paging-structure caches in the guest's dimension. */
  readonly caches: boolean;
}

const translations: readonly (readonly [TracePresetName, Translation, 'caches'?])[] = [
  ['tlb-hit', 'native'],
  ['stlb-hit', 'native'],
  ['seq-scan', 'native', 'caches'],
  ['zipf-mix', 'native', 'caches'],
  ['walk-1g', 'native'],
  ['walk-1g-psc', 'native', 'caches'],
  ['walk-16g', 'native'],
  ['walk-2m', 'native'],
  ['twod-1g', 'twod'],
  ['twod-1g-psc', 'twod', 'caches'],
  ['shadow-1g', 'shadow'],
  ['shadow-cr3', 'shadow'],
  ['shadow-edit', 'shadow'],
  ['shadow-wp', 'shadow'],
  ['twod-wp', 'twod'],
];

/** The workloads. Keep in step with `WL` in pagewalk.c. */
export const benchWorkloads: readonly BenchWorkload[] = translations.map(([name, translation, caches]) => ({
  ...tracePresets[name],
  name,
  translation,
  caches: caches !== undefined,
}));

/** The trace of a workload at a scale; the C program rounds the number of events the same way. */
export const traceOf = (workload: BenchWorkload, scale: number): Int32Array =>
  wholeTrace({ ...workload, events: Math.floor(workload.events * scale) });
