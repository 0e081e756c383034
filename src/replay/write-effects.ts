// SPDX-License-Identifier: GPL-2.0-only
import type { WriteEffect } from './record.ts';

interface Counted extends WriteEffect {
  count: number;
  readonly perPhase: Record<string, number>;
}

/** Counts what register writes led to: a guest makes few kinds of writes, each of them over and over. */
export class WriteEffects {
  /** In order of first appearance. */
  readonly #all: Counted[] = [];
  readonly #byWrite = new Map<string, Counted[]>();

  /** Counts a write; `calls` (null: it did not leave the guest) may be changed afterwards. */
  note(write: string, calls: readonly string[] | null, phase: string): void {
    const known = this.#byWrite.get(write);
    const same = known?.find((effect) => sameCalls(effect.calls, calls));
    if (same !== undefined) {
      same.count++;
      same.perPhase[phase] = (same.perPhase[phase] ?? 0) + 1;
      return;
    }
    const effect = { write, calls: calls === null ? null : [...calls], count: 1, perPhase: { [phase]: 1 } };
    this.#all.push(effect);
    if (known === undefined) this.#byWrite.set(write, [effect]);
    else known.push(effect);
  }

  list(): WriteEffect[] {
    return [...this.#all];
  }
}

function sameCalls(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
