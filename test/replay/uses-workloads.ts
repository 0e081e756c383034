// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Era } from '../../src/era.ts';
import type { HostOptions } from '../../src/replay/host.ts';
import { everyWay } from '../../src/replay/uses.ts';
import { bundledWorkloads, loadWorkload } from '../../src/workload/bundled.ts';
import type { Workload } from '../../src/workload/ops.ts';

const folder = fileURLToPath(new URL('../workloads-uses/', import.meta.url));

/** The bundled workloads, and those that go where they do not: tables written at every level, keys, L2, reclaim … */
export function broadWorkloads(): Workload[] {
  const own = readdirSync(folder).filter((file) => file.endsWith('.ops'));
  return [...bundledWorkloads().map(({ name }) => loadWorkload(name)), ...own.map((file) => readOwn(file))];
}

const readOwn = (file: string): Workload => loadWorkload(join(folder, file));

/** Every mode of the era, on the CPU that recordings have and on one with every feature. */
export const broadWays = (era: Era): HostOptions[] =>
  everyWay(era).flatMap((way) => [
    way,
    { ...way, cpuid: { pcid: true, invpcid: true, smep: true, smap: true, pku: true, la57: true } },
  ]);
