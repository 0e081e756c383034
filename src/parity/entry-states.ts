// SPDX-License-Identifier: GPL-2.0-only
import type { ObservedEntry } from './observer.ts';
import type { Recording, TruthEntry } from './recording.ts';

/** Two values that should be one. */
export interface Pair {
  /** Name inside a record, '' for a plain number. */
  readonly key: string;
  readonly expected: string | number;
  readonly got: string | number;
}

interface State {
  readonly phase: string;
  readonly text: string;
}

const wordNames = ['root_role', 'cpu_role', 'mmu_role'] as const;

/** A state at guest entry as one line, without its root. */
const stateText = (mmu: string, words: readonly (readonly [string, string])[], prev: number): string =>
  [mmu, ...words.map(([name, word]) => `${name}=${word}`), `prev=${prev}`].join(' ');

const recordedText = (entry: TruthEntry): string =>
  stateText(
    entry.mmu,
    wordNames.flatMap((name) => (entry[name] === undefined ? [] : [[name, entry[name]] as const])),
    entry.prev_roots_valid,
  );

/**
 * Compares the states in force at guest entries: role words, number of previous roots, and which root. How often a state
 * was entered in a row is left out, as interrupts of the host add entries. Returns the first difference in a phase, or
 * in the whole sequence for null.
 *
 * The recordings number roots by address. An address can come again once its root is gone, so roots are matched: each of
 * ours stands for one number, and two that exist at the same time for two.
 */
export function entryDifferences(
  recording: Recording,
  entries: readonly ObservedEntry[],
): (phase: string | null) => Pair[] {
  const theirs = recording.entryStates.map((entry) => ({
    phase: entry.phase,
    text: recordedText(entry),
    root: entry.root,
    entries: entry.entries,
  }));
  const names = wordNames.filter((name) => recording.entryStates[0]?.[name] !== undefined);
  const ours = entries.map((entry) => ({
    ...entry,
    text: stateText(
      entry.mmu,
      names.map((name) => [name, entry.words[name] ?? 'none'] as const),
      entry.prevRootsValid,
    ),
  }));
  const expected = theirs.map(({ phase, text, root }) => ({ phase, text: `${text} root=${root}` }));
  const got = matched(theirs, ours);
  return (phase) => {
    const inPhase = (states: readonly State[]): string[] =>
      withoutRepetitions(phase === null ? states : states.filter((state) => state.phase === phase));
    return firstDifference(inPhase(expected), inPhase(got));
  };
}

type Recorded = State & { readonly root: number; readonly entries: number };
type Ours = Omit<ObservedEntry, 'words'> & State;

/** Our states with roots under the numbers of the recording, as far as they can be the same. */
function matched(theirs: readonly Recorded[], ours: readonly Ours[]): State[] {
  const numbers = new RootNumbers();
  const states: State[] = [];
  let at = 0;
  let used = 0;
  for (const [i, entry] of ours.entries()) {
    numbers.forget(entry.gone);
    const fits = (candidate: Recorded | undefined): boolean =>
      candidate !== undefined &&
      candidate.phase === entry.phase &&
      candidate.text === entry.text &&
      numbers.canBe(entry.root, candidate.root);
    // A state repeats at most as often as it was recorded, and an address that came again has hidden a change of roots in
    // it; the next one is due when only it fits, or this one has no room for what is left of ours.
    const here = used + repetitionsFrom(ours, i) <= (theirs[at]?.entries ?? 0) && fits(theirs[at]);
    if (!here && fits(theirs[at + 1])) {
      at++;
      used = 0;
    }
    const now = theirs[at];
    if (fits(now)) {
      used++;
      numbers.assign(entry.root, now!.root);
    }
    states.push({ phase: entry.phase, text: `${entry.text} root=${numbers.of(entry.root)}` });
  }
  return states;
}

/** How often in a row a state of ours comes from here on. */
function repetitionsFrom(ours: readonly Ours[], from: number): number {
  const { phase, text, root } = ours[from]!;
  let to = from + 1;
  while (ours[to]?.root === root && ours[to]!.phase === phase && ours[to]!.text === text) to++;
  return to - from;
}

/** Which number of the recording each root of ours is. */
class RootNumbers {
  readonly #byRoot = new Map<number, number>();
  readonly #taken = new Map<number, number>();

  of(root: number): string {
    return String(this.#byRoot.get(root) ?? 'new');
  }

  canBe(root: number, number: number): boolean {
    const known = this.#byRoot.get(root);
    return known === undefined ? !this.#taken.has(number) : known === number;
  }

  assign(root: number, number: number): void {
    this.#byRoot.set(root, number);
    this.#taken.set(number, root);
  }

  /** Roots that no longer exist: their numbers are free. */
  forget(roots: readonly number[]): void {
    for (const root of roots) {
      const number = this.#byRoot.get(root);
      if (number !== undefined && this.#taken.get(number) === root) this.#taken.delete(number);
    }
  }
}

/** The states without those that repeat the one before in the same phase. */
function withoutRepetitions(states: readonly State[]): string[] {
  return states
    .filter(({ phase, text }, i) => i === 0 || states[i - 1]!.text !== text || states[i - 1]!.phase !== phase)
    .map(({ text }) => text);
}

/** Where two lists part, as no or one pair. */
export function firstDifference(expected: readonly string[], got: readonly string[]): Pair[] {
  const length = Math.max(expected.length, got.length);
  for (let i = 0; i < length; i++) {
    if (expected[i] !== got[i]) return [{ key: `${i}`, expected: expected[i] ?? 'end', got: got[i] ?? 'end' }];
  }
  return [];
}
