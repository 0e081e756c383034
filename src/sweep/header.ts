// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod';
import type { HostOptions } from '../replay/host.ts';
import { mmuKinds } from '../replay/mmu-kinds.ts';
import type { GuestCpuOptions } from '../sim/guest-cpu.ts';
import { pageShifts, SWEEP_SCHEMA, type TlbDescription } from './schema.ts';
import { contentHash } from './versions.ts';

const geometry = z.object({ sets: z.number(), ways: z.number() });

/** A TLB of the sweep with all its sizes; `common` is the machine's own and has none. */
const sweepTlb = z.object({
  name: z.string(),
  shape: z
    .object({
      l1: geometry,
      l2: geometry.nullable(),
      pages: z.array(z.enum(['4k', '2m', '1g'])),
      caches: z.record(z.string(), geometry).nullable(),
    })
    .nullable(),
});

/**
 * First line of what a sweep writes: the axes of the matrix and the versions of all that took part. Cell numbers count
 * eras first, then TLBs, MMU kinds and workloads, a generated one with each seed.
 */
export const headerSchema = z.object({
  schema: z.literal(SWEEP_SCHEMA),
  /** `i/n`: these are the cells whose number leaves the remainder i - 1 when divided by n. */
  shard: z.string(),
  cells: z.number(),
  /** Content hash of the machine, and below of workloads and ports. */
  machine: z.string(),
  /** Vendor module under shadow paging. */
  vendor: z.enum(['svm', 'vmx']),
  workloads: z.array(z.object({ name: z.string(), seed: z.number().nullable(), hash: z.string() })),
  mmus: z.array(z.string()),
  tlbs: z.array(sweepTlb),
  eras: z.array(z.object({ id: z.string(), hash: z.string() })),
});

export type SweepHeader = z.infer<typeof headerSchema>;
export type SweepTlb = SweepHeader['tlbs'][number];

/** Where one replay stands in the matrix. */
export interface Cell {
  readonly cell: number;
  readonly workload: string;
  /** Of a generated workload. */
  readonly seed: number | null;
  readonly mmu: string;
  readonly tlb: string;
  readonly era: string;
  /** Content hash of workload, port, machine and options: the same key, the same result. */
  readonly key: string;
}

/** How many cells a matrix has. */
export const cellCount = ({
  workloads,
  mmus,
  tlbs,
  eras,
}: Pick<SweepHeader, 'workloads' | 'mmus' | 'tlbs' | 'eras'>): number =>
  workloads.length * mmus.length * tlbs.length * eras.length;

/** The parts of the header that cell number `cell` is made of. */
export function partsOf(header: SweepHeader, cell: number) {
  const { eras, tlbs, mmus, workloads } = header;
  let rest = cell;
  const pick = <T>(axis: readonly T[]): T => {
    const part = axis[rest % axis.length]!;
    rest = Math.floor(rest / axis.length);
    return part;
  };
  // In the order in which numbers count.
  return { era: pick(eras), tlb: pick(tlbs), mmu: pick(mmus), workload: pick(workloads) };
}

/** Cell number `cell` of the matrix. */
export function cellOf(header: SweepHeader, cell: number): Cell {
  const { era, tlb, mmu, workload } = partsOf(header, cell);
  const options = { host: hostOf(mmu, header.vendor), cpu: tlb.shape };
  const key = contentHash(JSON.stringify([SWEEP_SCHEMA, workload.hash, era.id, era.hash, header.machine, options]));
  return { cell, workload: workload.name, seed: workload.seed, mmu, tlb: tlb.name, era: era.id, key };
}

/** The host of a mode's name in `mmus`. */
export function hostOf(mmu: string, vendor: HostOptions['vendor']): HostOptions {
  const kinds = mmuKinds[mmu];
  if (kinds?.length !== 1) throw new Error(`${mmu} is not one kind of MMU`);
  return { ...kinds[0]!, vendor };
}

/** What GuestCpu takes for a TLB of the sweep. */
export function cpuOf({ shape }: SweepTlb): GuestCpuOptions {
  if (shape === null) return {};
  const { l1, l2, pages, caches } = shape;
  return { tlb: { l1, l2, pageShifts: pages.map((size) => pageShifts[size]) }, caches };
}

/** A TLB of the description as the header has it. */
export function sweepTlbOf(described: TlbDescription | 'common'): SweepTlb {
  if (described === 'common') return { name: 'common', shape: null };
  const { name, ...shape } = described;
  return { name, shape };
}

/** `wp-toggle seed 3, npt-legacy, small, cr0wp`: a cell in words. */
export function cellText({ workload, seed, mmu, tlb, era }: Cell): string {
  return [seed === null ? workload : `${workload} seed ${seed}`, mmu, tlb, era].join(', ');
}
