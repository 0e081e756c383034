// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';

/** Something that the other form cannot say. */
export interface Loss {
  /** `line 12`, `event 7`. */
  readonly place: string;
  readonly what: string;
}

/** Collects losses, each place once. */
export class Losses {
  readonly #seen = new Set<string>();
  readonly list: Loss[] = [];

  add(place: string, what: string): void {
    if (this.#seen.has(place)) return;
    this.#seen.add(place);
    this.list.push({ place, what });
  }
}

const MOST_SHOWN = 12;

/** Losses as lines; the rest is counted. */
export function lossLines(losses: readonly Loss[]): string[] {
  const lines = losses.slice(0, MOST_SHOWN).map(({ place, what }) => `${place}: ${what}`);
  return losses.length > MOST_SHOWN ? [...lines, `… and ${losses.length - MOST_SHOWN} more`] : lines;
}

/** UserError when anything would be lost and the user did not say that it may. */
export function refuseLosses(file: string, losses: readonly Loss[], target: string): void {
  if (losses.length === 0) return;
  throw new UserError({
    place: file,
    found: `${losses.length} ${losses.length === 1 ? 'thing' : 'things'} that ${target} cannot say\n  ${lossLines(losses).join('\n  ')}`,
    expected: `only what ${target} can say (docs/traces.md)`,
    suggestion: '--lossy, which leaves them out',
  });
}
