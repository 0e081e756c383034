// SPDX-License-Identifier: GPL-2.0-only
import type { EntryState, RoleValue } from './record.ts';

/** Finds equal entry states, of which a long replay has few and meets each of them over and over. */
export class StateIndex {
  readonly #states: readonly EntryState[];
  /** By phase, then by a hash of the numbers: places in the list of states. */
  readonly #phases = new Map<string, Map<number, number[]>>();

  /** `states` is the list that grows: a place is an index of it. */
  constructor(states: readonly EntryState[]) {
    this.#states = states;
  }

  /** Place of the state; the end of the list, to be pushed there, when it has no equal. Entries are not compared. */
  placeOf(state: EntryState): number {
    let places = this.#phases.get(state.phase);
    if (places === undefined) {
      places = new Map();
      this.#phases.set(state.phase, places);
    }
    const hash = hashOf(state);
    const found = places.get(hash);
    if (found !== undefined) {
      for (const place of found) if (sameState(this.#states[place]!, state)) return place;
    }
    const next = this.#states.length;
    if (found === undefined) places.set(hash, [next]);
    else found.push(next);
    return next;
  }
}

/** Table pointer, root and roles: what states differ in. */
function hashOf({ pgd, root, roles }: EntryState): number {
  let hash = Math.imul(root + 1, 0x9e3779b1) ^ pgd;
  for (let i = 0; i < roles.length; i++) {
    const { base, extended } = roles[i]!;
    hash = Math.imul(hash ^ base, 0x85ebca6b) ^ (extended ?? 0);
    hash ^= hash >>> 15;
  }
  return hash;
}

/** Whether two states are equal but for the number of entries. */
export function sameState(a: EntryState, b: EntryState): boolean {
  return (
    a.phase === b.phase &&
    a.vcpu === b.vcpu &&
    a.mmu === b.mmu &&
    a.root === b.root &&
    a.pgd === b.pgd &&
    a.previousRootsValid === b.previousRootsValid &&
    a.guestLevels === b.guestLevels &&
    a.hostLevels === b.hostLevels &&
    sameRoles(a.roles, b.roles)
  );
}

/** Whether all role words are equal. */
export function sameRoles(a: readonly RoleValue[], b: readonly RoleValue[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i]!.base !== b[i]!.base || a[i]!.extended !== b[i]!.extended) return false;
  return true;
}
