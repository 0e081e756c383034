// SPDX-License-Identifier: GPL-2.0-only
/** Ports by name, all of them loaded: for what runs many eras, or learns only from its input which. */
import { eras } from '../../snapshots/all.ts';
import type { Era } from '../era.ts';
import { UserError } from '../errors.ts';
import { resolveEra } from '../facts/index.ts';

/** The port of one era; UserError when the expression names none or several. */
export function resolvePort(expression: string): Era {
  const { id } = resolveEra(expression);
  const port = eras.find((era) => era.id === id);
  if (!port) throw new Error(`era ${id} has facts but no port`);
  return port;
}

/** The port that a vector file is about, or undefined when no era is called that. */
export function findPort(subject: string): Era | undefined {
  try {
    return resolvePort(subject);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
