// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const open = new Set<string>();
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A new folder for temporary files. It goes with `removeFolder`, or with the process: also when a pager or a key ends that. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
  if (open.size === 0) watch();
  open.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  open.delete(folder);
  if (open.size === 0) unwatch();
}

const removeAll = (): void => {
  for (const folder of [...open]) removeFolder(folder);
};

/** Cleans up, then lets the signal do what it would have done. */
const onSignal = (signal: NodeJS.Signals): void => {
  removeAll();
  process.kill(process.pid, signal);
};

function watch(): void {
  process.on('exit', removeAll);
  for (const signal of signals) process.on(signal, onSignal);
}

function unwatch(): void {
  process.off('exit', removeAll);
  for (const signal of signals) process.off(signal, onSignal);
}
