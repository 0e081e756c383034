// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod';
import { mmuKinds } from '../replay/mmu-kinds.ts';

/** Version of the description, and of what a sweep writes. */
export const SWEEP_SCHEMA = 'mmu-eras-sweep/1';

/** Entries of one structure that src/sim/ways.ts can hold. */
const MOST_ENTRIES = 2 ** 14;
const MOST_SEEDS = 100_000;
const LARGEST_SEED = 0xffffffff;

const geometry = z
  .strictObject({ sets: z.int().min(1), ways: z.int().min(1) })
  .refine(({ sets }) => Number.isInteger(Math.log2(sets)), { message: 'a power of two', path: ['sets'] })
  .refine(({ sets, ways }) => sets * ways <= MOST_ENTRIES, {
    message: `at most ${MOST_ENTRIES} entries (sets × ways)`,
  });

/** Sizes of page that TLB entries can cover, as the description calls them, with their shifts. */
export const pageShifts = { '4k': 12, '2m': 21, '1g': 30 } as const;

const pages = z
  .array(z.enum(['4k', '2m', '1g']))
  .min(1)
  .refine(
    (sizes) => sizes[0] === '4k' && sizes.every((size, i) => i === 0 || pageShifts[size] > pageShifts[sizes[i - 1]!]),
    {
      message: 'sizes in ascending order from 4k',
    },
  );

const caches = z.strictObject({
  level2: geometry.exactOptional(),
  level3: geometry.exactOptional(),
  level4: geometry.exactOptional(),
  level5: geometry.exactOptional(),
});

/** A TLB of one or two levels, the sizes of page it covers whole, and paging-structure caches; null for none. */
const tlb = z.strictObject({
  name: z.string().regex(/^[\w.+-]{1,40}$/, 'a name of letters, digits and . _ + -'),
  l1: geometry,
  l2: geometry.nullable().default(null),
  pages: pages.default(['4k', '2m', '1g']),
  caches: caches.nullable().default(null),
});

const seed = z.int().min(0).max(LARGEST_SEED);
const seedRange = z
  .string()
  .regex(/^\d+\.\.\d+$/, 'a range a..b')
  .transform((range) => range.split('..').map(Number) as [number, number])
  .refine(([from, to]) => from <= to && to <= LARGEST_SEED && to - from < MOST_SEEDS, {
    message: `a range a..b of at most ${MOST_SEEDS} seeds up to ${LARGEST_SEED}`,
  })
  .transform(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));

const word = z.string().min(1);

/** The description of a sweep, as it stands in its file. */
export const sweepSchema = z.strictObject({
  schema: z.literal(SWEEP_SCHEMA),
  /** Bundled names, files from the description's folder on, `gen:name?option=value`. */
  workloads: z.array(word).min(1),
  /** Era expressions. */
  eras: z.union([word, z.array(word).min(1)]).default('all'),
  mmus: z.array(z.enum(Object.keys(mmuKinds))).min(1),
  /** Vendor module under shadow paging. */
  vendor: z.enum(['svm', 'vmx']).default('svm'),
  /** Shapes, or the word `common` for the machine's own. */
  tlbs: z
    .array(z.union([z.literal('common'), tlb]))
    .min(1)
    .default(['common']),
  /** Of generated workloads. */
  seeds: z.union([seedRange, z.array(seed).min(1)]).exactOptional(),
});

export type SweepDescription = z.infer<typeof sweepSchema>;
export type TlbDescription = z.infer<typeof tlb>;
