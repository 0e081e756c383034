// SPDX-License-Identifier: GPL-2.0-only
import { FrameMap } from './frame-map.ts';

/** PCIDs are 12 bits wide (SDM vol. 3A 4.10.1); one context more holds the global translations of an address space id. */
const GLOBAL_CONTEXT = 4096;
const CONTEXTS = GLOBAL_CONTEXT + 1;

/** Generations are 17 bits wide, the room that a tag leaves beside page-number bits. */
const GENERATIONS = 2 ** 17;

/**
 * Makes flushes constant-time. Every context (ASID or VPID, and PCID; or the global translations of an ASID) has a
 * generation, a number that stands in the tags of its entries. A flush gives it a new one, and old entries match no more.
 * Generations only grow, so a flush of many contexts is a floor below which a generation is stale.
 */
export class TlbContexts {
  readonly #generations = new FrameMap();
  readonly #floors = new FrameMap();
  #floorOfAll = 1;
  #last = 0;

  /** How many more generations there are before `renumber` is due. */
  get room(): number {
    return GENERATIONS - 1 - this.#last;
  }

  /** Generation of a context, from 1. Throws when there is no room. */
  generation(asid: number, pcid: number): number {
    return this.#current(asid * CONTEXTS + pcid, asid * 2);
  }

  /** Generation of the global translations of an address space id. */
  globalGeneration(asid: number): number {
    return this.#current(asid * CONTEXTS + GLOBAL_CONTEXT, asid * 2 + 1);
  }

  flushAll(): void {
    this.#floorOfAll = this.#last + 1;
  }

  /** Every PCID of an address space id, without its global translations. */
  flushNonGlobal(asid: number): void {
    this.#floors.set(asid * 2, this.#last + 1);
  }

  flushGlobal(asid: number): void {
    this.#floors.set(asid * 2 + 1, this.#last + 1);
  }

  flushPcid(asid: number, pcid: number): void {
    this.#generations.delete(asid * CONTEXTS + pcid);
  }

  /** Takes over every generation of another TLB's contexts. */
  copyFrom(other: TlbContexts): void {
    this.#generations.copyFrom(other.#generations);
    this.#floors.copyFrom(other.#floors);
    this.#floorOfAll = other.#floorOfAll;
    this.#last = other.#last;
  }

  /**
   * Starts counting again, and leaves every context what it has. Returns the new numbers of generations by the old ones;
   * those without one are stale.
   */
  renumber(): ReadonlyMap<number, number> {
    const live = [...this.#generations.entries()].filter(([context, generation]) => {
      const asid = Math.floor(context / CONTEXTS);
      const floorKey = asid * 2 + (context % CONTEXTS === GLOBAL_CONTEXT ? 1 : 0);
      return this.#isCurrent(generation, floorKey);
    });
    this.#generations.clear();
    this.#floors.clear();
    this.#floorOfAll = 1;
    this.#last = 0;
    return new Map(
      live.map(([context, generation]) => {
        this.#generations.set(context, ++this.#last);
        return [generation, this.#last];
      }),
    );
  }

  #current(context: number, floorKey: number): number {
    const generation = this.#generations.get(context);
    if (this.#isCurrent(generation, floorKey)) return generation;
    if (this.room === 0) throw new Error('tlb: out of generations');
    this.#generations.set(context, ++this.#last);
    return this.#last;
  }

  #isCurrent(generation: number, floorKey: number): boolean {
    return generation >= this.#floorOfAll && generation >= this.#floors.get(floorKey);
  }
}
