// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../src/era.ts';

/** A port as the list knows it before its files are loaded. */
export interface PortEntry {
  /** As in commits/eras.json. */
  readonly id: string;
  readonly load: () => Promise<Era>;
}

/** Every port, in the order of history. A command loads those that it replays: all of them take longer than most replays. */
export const ports: readonly PortEntry[] = [
  { id: 'base-role^', load: async () => (await import('./2008-12-base-role-before/index.ts')).era },
  { id: 'base-role', load: async () => (await import('./2008-12-base-role/index.ts')).era },
  { id: 'role-union^', load: async () => (await import('./2018-10-role-union-before/index.ts')).era },
  { id: 'role-union', load: async () => (await import('./2018-10-role-union/index.ts')).era },
  { id: 'v4.20', load: async () => (await import('./2018-12-v4.20/index.ts')).era },
  { id: 'v5.10', load: async () => (await import('./2020-12-v5.10/index.ts')).era },
  { id: 'v5.17', load: async () => (await import('./2022-02-v5.17/index.ts')).era },
  { id: 'no-unload-v2', load: async () => (await import('./2022-02-no-unload-v2/index.ts')).era },
  { id: 'cpu-role^', load: async () => (await import('./2022-04-cpu-role-parent/index.ts')).era },
  { id: 'cpu-role', load: async () => (await import('./2022-04-cpu-role/index.ts')).era },
  { id: 'root-role', load: async () => (await import('./2022-04-root-role/index.ts')).era },
  { id: 'v5.19', load: async () => (await import('./2022-07-v5.19/index.ts')).era },
  { id: 'cr0wp', load: async () => (await import('./2023-03-cr0wp/index.ts')).era },
  { id: 'v6.1', load: async () => (await import('./2026-11-v6.1/index.ts')).era },
  { id: 'v6.12', load: async () => (await import('./2026-11-v6.12/index.ts')).era },
  { id: 'v7.2', load: async () => (await import('./2026-11-v7.2/index.ts')).era },
  { id: 'v7.3', load: async () => (await import('./2026-11-v7.3/index.ts')).era },
];
