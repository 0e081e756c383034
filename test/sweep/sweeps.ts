// SPDX-License-Identifier: GPL-2.0-only
/** Descriptions and plans for tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCell } from '../../src/sweep/cell.ts';
import { planSweep, type SweepPlan } from '../../src/sweep/plan.ts';
import { CellStore } from '../../src/sweep/store.ts';
import { inProcess } from '../../src/workers/runner.ts';

/** A dozen cells that take a moment: 2 workloads, one of them with two seeds, 2 kinds, 1 TLB, 2 eras. */
export const smallSweep = `schema: mmu-eras-sweep/1
workloads: ["gen:toggle_cr0_wp?iterations=2&touches=1", smm-pae]
eras: [root-role, cr0wp]
mmus: [shadow, npt-legacy]
seeds: 1..2
`;

const folders: string[] = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder, until the tests of the file are done. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mmu-eras-sweep-'));
  folders.push(folder);
  return folder;
}

export function fileIn(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A description in a folder of its own, its plan, and an empty store beside it. */
export async function planned(text = smallSweep): Promise<{ plan: SweepPlan; store: CellStore; folder: string }> {
  const folder = tempFolder();
  const plan = await planSweep(fileIn(folder, 'sweep.yaml', text));
  return { plan, store: new CellStore(join(folder, 'cells')), folder };
}

export const wholeSweep = { index: 1, count: 1 } as const;
export const realRunner = async () => inProcess(runCell);
