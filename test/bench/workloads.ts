// SPDX-License-Identifier: GPL-2.0-only
import { EVENT } from '../../src/trace/events.ts';
import { mix32, Random } from '../../src/workload/page-stream.ts';

/** How addresses are translated: one dimension, guest tables over nested ones, shadow tables filled by a port. */
export type Translation = 'native' | 'twod' | 'shadow';

/** One row of the table of workloads; the C program has the same rows under the same names. */
export interface BenchWorkload {
  readonly name: string;
  readonly translation: Translation;
  /** With paging-structure caches in the guest's dimension. */
  readonly caches: boolean;
  readonly spaces: number;
  /** Pages of 4 KiB in each address space. */
  readonly pages: number;
  /** Pages in order; drawn uniformly; or few pages taking most accesses: rank floor(pages * u ** 4), scattered. */
  readonly access: 'sequential' | 'uniform' | 'skewed';
  /** Accesses and control events together. */
  readonly events: number;
  /** Writes in 256 accesses. */
  readonly writes: number;
  /** Accesses between two loads of CR3, toggles of CR0.WP, edits of a leaf entry with INVLPG; 0 for none. */
  readonly cr3Every: number;
  readonly wpEvery: number;
  readonly editEvery: number;
  /** Mapped with pages of 2 MiB. */
  readonly huge: boolean;
  readonly seed: number;
}

const plain = { caches: false, spaces: 1, writes: 64, cr3Every: 0, wpEvery: 0, editEvery: 0, huge: false } as const;
const million = 1_000_000;
const gib = 262144;

/** The workloads. Keep in step with `WL` in pagewalk.c. */
export const benchWorkloads: readonly BenchWorkload[] = [
  { ...plain, name: 'tlb-hit', translation: 'native', pages: 48, access: 'uniform', events: 16 * million, seed: 1 },
  { ...plain, name: 'stlb-hit', translation: 'native', pages: 1024, access: 'uniform', events: 16 * million, seed: 2 },
  {
    ...plain,
    name: 'seq-scan',
    translation: 'native',
    caches: true,
    pages: gib,
    access: 'sequential',
    events: 8 * million,
    writes: 0,
    seed: 3,
  },
  {
    ...plain,
    name: 'zipf-mix',
    translation: 'native',
    caches: true,
    pages: 65536,
    access: 'skewed',
    events: 8 * million,
    seed: 4,
  },
  { ...plain, name: 'walk-1g', translation: 'native', pages: gib, access: 'uniform', events: 8 * million, seed: 5 },
  {
    ...plain,
    name: 'walk-1g-psc',
    translation: 'native',
    caches: true,
    pages: gib,
    access: 'uniform',
    events: 8 * million,
    seed: 5,
  },
  {
    ...plain,
    name: 'walk-16g',
    translation: 'native',
    pages: 16 * gib,
    access: 'uniform',
    events: 8 * million,
    seed: 6,
  },
  {
    ...plain,
    name: 'walk-2m',
    translation: 'native',
    pages: 16 * gib,
    access: 'uniform',
    events: 8 * million,
    huge: true,
    seed: 6,
  },
  { ...plain, name: 'twod-1g', translation: 'twod', pages: gib, access: 'uniform', events: 4 * million, seed: 5 },
  {
    ...plain,
    name: 'twod-1g-psc',
    translation: 'twod',
    caches: true,
    pages: gib,
    access: 'uniform',
    events: 4 * million,
    seed: 5,
  },
  { ...plain, name: 'shadow-1g', translation: 'shadow', pages: gib, access: 'uniform', events: 4 * million, seed: 5 },
  {
    ...plain,
    name: 'shadow-cr3',
    translation: 'shadow',
    spaces: 8,
    pages: 4096,
    access: 'skewed',
    events: 8 * million,
    cr3Every: 200,
    seed: 7,
  },
  {
    ...plain,
    name: 'shadow-edit',
    translation: 'shadow',
    pages: 16384,
    access: 'skewed',
    events: 8 * million,
    editEvery: 50,
    seed: 8,
  },
  {
    ...plain,
    name: 'shadow-wp',
    translation: 'shadow',
    spaces: 2,
    pages: 4096,
    access: 'skewed',
    events: 8 * million,
    cr3Every: 400,
    wpEvery: 20,
    seed: 9,
  },
  {
    ...plain,
    name: 'twod-wp',
    translation: 'twod',
    spaces: 2,
    pages: 4096,
    access: 'skewed',
    events: 8 * million,
    cr3Every: 400,
    wpEvery: 20,
    seed: 9,
  },
];

/** Page number of the first page of every address space: 0x7f0000000, as bits 31:0 and the rest. */
export const FIRST_PAGE = { lo: 0xf0000000, hi: 7 } as const;

/** Number of events of a workload at a scale; the C program rounds the same way. */
export const eventsAt = ({ events }: BenchWorkload, scale: number): number => Math.floor(events * scale);

/**
 * The trace of a workload: two words an event, `lo` = page number bits 31:0, or the operand (address space, value of WP);
 * `hi` = kind << 24 | page number bits 44:32. The same words as the C program's.
 */
export function traceOf(workload: BenchWorkload, scale: number): Int32Array {
  const count = eventsAt(workload, scale);
  const trace = new Int32Array(2 * count);
  const { spaces, writes, cr3Every, wpEvery, editEvery } = workload;
  const random = new Random(workload.seed);
  let at = 0;
  let space = 0;
  let wp = 1;
  const put = (kind: number, operand: number): void => {
    trace[2 * at] = operand;
    trace[2 * at + 1] = kind << 24;
    at++;
  };
  const putPage = (kind: number, page: number): void => {
    const lo = FIRST_PAGE.lo + page;
    trace[2 * at] = lo;
    trace[2 * at + 1] = (kind << 24) | (FIRST_PAGE.hi + (lo > 0xffffffff ? 1 : 0));
    at++;
  };
  for (let accesses = 1; at < count; accesses++) {
    if (cr3Every !== 0 && accesses % cr3Every === 0) {
      space = (space + 1) % spaces;
      put(EVENT.CR3, space);
      if (at === count) break;
    }
    if (wpEvery !== 0 && accesses % wpEvery === 0) {
      wp ^= 1;
      put(EVENT.WP, wp);
      if (at === count) break;
    }
    if (editEvery !== 0 && accesses % editEvery === 0) {
      const page = pick(workload, random, at);
      putPage(EVENT.EDIT, page);
      if (at === count) break;
      putPage(EVENT.INVLPG, page);
      if (at === count) break;
    }
    const page = pick(workload, random, at);
    const isWrite = writes !== 0 && (random.next() & 255) < writes;
    putPage(isWrite ? EVENT.WRITE : EVENT.READ, page);
  }
  return trace;
}

function pick({ access, pages }: BenchWorkload, random: Random, at: number): number {
  if (access === 'sequential') return at % pages;
  const u = random.next() / 2 ** 32;
  if (access === 'uniform') return Math.floor(u * pages);
  const square = u * u;
  return mix32(Math.floor(square * square * pages)) & (pages - 1);
}
