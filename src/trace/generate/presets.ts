// SPDX-License-Identifier: GPL-2.0-only
import type { TraceSpec } from './stream.ts';

const plain = {
  paging: '4level',
  spaces: 1,
  size: '4k',
  writes: 64,
  cr3Every: 0,
  wpEvery: 0,
  editEvery: 0,
} as const;
const million = 1_000_000;
const gib = 262144;

/** CR0.WP again and again, and CR3 now and then. */
const wpToggles = {
  ...plain,
  spaces: 2,
  pages: 4096,
  locality: 'skewed',
  events: 8 * million,
  cr3Every: 400,
  wpEvery: 20,
  seed: 9,
} as const;

/** Named traces: those of docs/performance.md. Keep in step with `WL` in test/bench/pagewalk.c. */
export const tracePresets = {
  'tlb-hit': { ...plain, pages: 48, locality: 'uniform', events: 16 * million, seed: 1 },
  'stlb-hit': { ...plain, pages: 1024, locality: 'uniform', events: 16 * million, seed: 2 },
  'seq-scan': { ...plain, pages: gib, locality: 'sequential', events: 8 * million, writes: 0, seed: 3 },
  'zipf-mix': { ...plain, pages: 65536, locality: 'skewed', events: 8 * million, seed: 4 },
  'walk-1g': { ...plain, pages: gib, locality: 'uniform', events: 8 * million, seed: 5 },
  'walk-1g-psc': { ...plain, pages: gib, locality: 'uniform', events: 8 * million, seed: 5 },
  'walk-16g': { ...plain, pages: 16 * gib, locality: 'uniform', events: 8 * million, seed: 6 },
  'walk-2m': { ...plain, pages: 16 * gib, size: '2m', locality: 'uniform', events: 8 * million, seed: 6 },
  'twod-1g': { ...plain, pages: gib, locality: 'uniform', events: 4 * million, seed: 5 },
  'twod-1g-psc': { ...plain, pages: gib, locality: 'uniform', events: 4 * million, seed: 5 },
  'shadow-1g': { ...plain, pages: gib, locality: 'uniform', events: 4 * million, seed: 5 },
  'shadow-cr3': { ...plain, spaces: 8, pages: 4096, locality: 'skewed', events: 8 * million, cr3Every: 200, seed: 7 },
  'shadow-edit': { ...plain, pages: 16384, locality: 'skewed', events: 8 * million, editEvery: 50, seed: 8 },
  'shadow-wp': wpToggles,
  'twod-wp': wpToggles,
} as const satisfies Readonly<Record<string, TraceSpec>>;

export type TracePresetName = keyof typeof tracePresets;

export const isTracePreset = (name: string): name is TracePresetName => Object.hasOwn(tracePresets, name);
