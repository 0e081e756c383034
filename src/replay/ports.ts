// SPDX-License-Identifier: GPL-2.0-only
import { ports } from '../../snapshots/index.ts';
import type { Era } from '../era.ts';
import { resolveEra, resolveEras } from '../facts/index.ts';

/** Loads the ports that an era expression names (`all`, `cpu-role`, `e5ed0fb0^`, `v5.17`, `5.19..6.4`, commas between several). */
export function loadPorts(expression: string): Promise<Era[]> {
  return Promise.all(resolveEras(expression).map(({ id }) => loadById(id)));
}

/** Loads the port of one era; rejects with a UserError when the expression names none or several. */
export const loadPort = async (expression: string): Promise<Era> => loadById(resolveEra(expression).id);

async function loadById(id: string): Promise<Era> {
  const entry = ports.find((port) => port.id === id);
  if (!entry) throw new Error(`era ${id} has facts but no port`);
  return await entry.load();
}
