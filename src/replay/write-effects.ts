// SPDX-License-Identifier: GPL-2.0-only
import type { WriteEffect } from './record.ts';

interface Counted extends WriteEffect {
  count: number;
  /** Without those of `phase`. */
  readonly perPhase: Record<string, number>;
  /** The phase that it came in last, and how often since that began. */
  phase: string;
  inPhase: number;
}

/** Counts what register writes led to: a guest makes few kinds of writes, each of them over and over. */
export class WriteEffects {
  /** In order of first appearance. */
  readonly #all: Counted[] = [];
  readonly #byWrite = new Map<string, Counted[]>();

  /** Counts a write; `calls` (null: it did not leave the guest) may be changed afterwards. */
  note(write: string, calls: readonly string[] | null, phase: string): void {
    const known = this.#byWrite.get(write);
    if (known !== undefined) {
      for (const effect of known) {
        if (!sameCalls(effect.calls, calls)) continue;
        effect.count++;
        if (effect.phase !== phase) begin(effect, phase);
        effect.inPhase++;
        return;
      }
    }
    const kept = calls === null ? null : [...calls];
    const effect = { write, calls: kept, count: 1, perPhase: {}, phase, inPhase: 1 };
    this.#all.push(effect);
    if (known === undefined) this.#byWrite.set(write, [effect]);
    else known.push(effect);
  }

  list(): WriteEffect[] {
    return this.#all.map((effect) => {
      begin(effect, effect.phase);
      const { write, calls, count, perPhase } = effect;
      return { write, calls, count, perPhase };
    });
  }
}

/** Sums up the phase before. */
function begin(effect: Counted, phase: string): void {
  effect.perPhase[effect.phase] = (effect.perPhase[effect.phase] ?? 0) + effect.inPhase;
  effect.phase = phase;
  effect.inPhase = 0;
}

function sameCalls(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
