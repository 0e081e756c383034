// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { type EraRecord, resolveEras } from '../facts/index.ts';
import { mmuKinds } from '../replay/mmu-kinds.ts';
import { modeName } from '../replay/run.ts';
import { bundledWorkloads } from '../workload/bundled.ts';
import type { CellTask } from './cell.ts';
import { cellCount, cpuOf, hostOf, partsOf, type SweepHeader, type SweepTlb, sweepTlbOf } from './header.ts';
import { type ReadDescription, readDescription } from './read.ts';
import { SWEEP_SCHEMA } from './schema.ts';
import { machineVersion, portVersion } from './versions.ts';
import { openWorkload } from './workload.ts';

/** A sweep that can be run: every workload was read, every name is known. */
export interface SweepPlan {
  readonly header: SweepHeader;
  /** What `openWorkload` takes, by place in `header.workloads`. */
  readonly sources: readonly string[];
}

/** Reads the description and everything it names. UserError with the place of the first thing that is wrong. */
export async function planSweep(file: string): Promise<SweepPlan> {
  const read = readDescription(file);
  const { description } = read;
  const axes = await workloadAxis(read, file);
  const matrix = {
    workloads: axes.map(({ name, seed, hash }) => ({ name, seed, hash })),
    mmus: mmuAxis(read),
    tlbs: tlbAxis(read),
    eras: eraAxis(read).map(({ id }) => ({ id, hash: portVersion(id) })),
  };
  return {
    header: {
      schema: SWEEP_SCHEMA,
      shard: '1/1',
      cells: cellCount(matrix),
      machine: machineVersion(),
      vendor: description.vendor,
      ...matrix,
    },
    sources: axes.map(({ source }) => source),
  };
}

/** What runs cell number `cell`. */
export function taskOf({ header, sources }: SweepPlan, cell: number): CellTask {
  const { workload, mmu, tlb, era } = partsOf(header, cell);
  return {
    source: sources[header.workloads.indexOf(workload)]!,
    hash: workload.hash,
    era: era.id,
    machine: header.machine,
    port: era.hash,
    options: { ...hostOf(mmu, header.vendor), cpu: cpuOf(tlb) },
  };
}

interface WorkloadPart {
  readonly name: string;
  readonly seed: number | null;
  readonly hash: string;
  readonly source: string;
}

/** Each workload in the order given; a generated one once for each seed. */
async function workloadAxis({ description, mistakeAt }: ReadDescription, file: string): Promise<WorkloadPart[]> {
  const { workloads, seeds } = description;
  const repeated = seeds?.findIndex((seed, at) => seeds.indexOf(seed) < at) ?? -1;
  if (seeds && repeated >= 0) {
    throw mistakeAt(['seeds', repeated], {
      found: `seed ${seeds[repeated]} a second time`,
      expected: 'each seed once',
    });
  }
  if (seeds && !workloads.some(isGenerated)) {
    throw mistakeAt(['seeds'], {
      found: 'seeds without a generated workload',
      expected: 'a workload gen:… that they change',
    });
  }
  const parts: WorkloadPart[] = [];
  for (const [at, name] of workloads.entries()) {
    const path = ['workloads', at];
    if (workloads.indexOf(name) < at) {
      throw mistakeAt(path, { found: `${name} a second time`, expected: 'each workload once' });
    }
    if (isGenerated(name) && seeds && /[?&]seed=/.test(name)) {
      throw mistakeAt(path, {
        found: 'a seed of its own',
        expected: 'the seeds of the sweep, or a seed here, not both',
      });
    }
    for (const seed of isGenerated(name) && seeds ? seeds : [null]) {
      const source = seed === null ? sourceOf(name, file) : `${name}${name.includes('?') ? '&' : '?'}seed=${seed}`;
      const hash = await hashOf(source, name, (finding) => mistakeAt(path, finding));
      parts.push({ name, seed, source, hash });
    }
  }
  return parts;
}

const isGenerated = (name: string): boolean => name.startsWith('gen:');

/** Files are looked for from the description's folder on, wherever the command was called. */
function sourceOf(name: string, file: string): string {
  if (isGenerated(name) || bundledWorkloads().some((each) => each.name === name)) return name;
  const path = resolve(dirname(file), name);
  // A bare name that is no file is one that was misspelt.
  return /[./\\]/.test(name) || existsSync(path) ? path : name;
}

/**
 * A mistake inside a workload keeps its place. A workload that is not there, or a damaged trace, gets the place of its name,
 * behind which the damage stands.
 */
async function hashOf(
  source: string,
  name: string,
  mistake: (finding: UserError['mistake']) => UserError,
): Promise<string> {
  try {
    return (await openWorkload(source)).hash;
  } catch (error) {
    if (!(error instanceof UserError) || /:\d+:\d+$/.test(error.mistake.place)) throw error;
    const { place, found } = error.mistake;
    const within = place.startsWith(`${source}: `) ? place.slice(source.length) : '';
    throw mistake({ ...error.mistake, found: `${name}${within}: ${found}` });
  }
}

function mmuAxis({ description: { mmus, vendor } }: ReadDescription): string[] {
  // `npt` is two kinds, one of which may be named as well.
  return [...new Set(mmus.flatMap((name) => mmuKinds[name]!.map((kind) => modeName({ ...kind, vendor }))))];
}

function tlbAxis({ description: { tlbs }, mistakeAt }: ReadDescription): SweepTlb[] {
  const axis = tlbs.map(sweepTlbOf);
  const repeated = axis.findIndex(({ name }, at) => axis.findIndex((each) => each.name === name) < at);
  if (repeated < 0) return axis;
  throw mistakeAt(['tlbs', repeated], {
    found: `${axis[repeated]!.name} a second time`,
    expected: 'a name of its own',
  });
}

function eraAxis({ description: { eras }, mistakeAt }: ReadDescription): EraRecord[] {
  const expressions = typeof eras === 'string' ? [eras] : eras;
  const found = expressions.flatMap((expression, at) => {
    const path = typeof eras === 'string' ? ['eras'] : ['eras', at];
    try {
      return resolveEras(expression);
    } catch (error) {
      throw error instanceof UserError ? mistakeAt(path, error.mistake) : error;
    }
  });
  return [...new Set(found)];
}
