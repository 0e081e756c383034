// SPDX-License-Identifier: GPL-2.0-only
import { eras } from '../../snapshots/index.ts';
import type { Era } from '../era.ts';
import { UserError } from '../errors.ts';
import { resolveEra, resolveEras } from '../facts/index.ts';

/** The ports that an era expression names (`all`, `cpu-role`, `e5ed0fb0^`, `v5.17`, `5.19..6.4`, commas between several). */
export function resolvePorts(expression: string): Era[] {
  return resolveEras(expression).map(({ id }) => portOf(id));
}

/** The port of one era; UserError when the expression names none or several. */
export const resolvePort = (expression: string): Era => portOf(resolveEra(expression).id);

/** The port that a vector file is about, or undefined when no era is called that. */
export function findPort(subject: string): Era | undefined {
  try {
    return resolvePort(subject);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function portOf(id: string): Era {
  const port = eras.find((era) => era.id === id);
  if (!port) throw new Error(`era ${id} has facts but no port`);
  return port;
}
