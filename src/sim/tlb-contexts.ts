// SPDX-License-Identifier: GPL-2.0-only

/** Generations are 17 bits wide, the room that a tag leaves beside page-number bits. */
const GENERATIONS = 2 ** 17;

/** The translations of one address space id (ASID or VPID) and PCID, or the global ones of an address space id. */
interface Context {
  generation: number;
}

/** One address space id: the floors below which generations of its contexts are stale, and these. */
interface AddressSpace {
  floor: number;
  globalFloor: number;
  readonly global: Context;
  readonly byPcid: Map<number, Context>;
}

/**
 * Makes flushes constant-time. Every context has a generation, a number that stands in the tags of its entries. A flush gives
 * it a new one, and old entries match no more. Generations only grow, so a flush of many contexts is a floor below which a
 * generation is stale.
 *
 * One context is the current one, whose generation is asked for after every flush.
 */
export class TlbContexts {
  #spaces = new Map<number, AddressSpace>();
  #floorOfAll = 1;
  #last = 0;
  #asid = 0;
  #pcid = 0;
  #space = this.#spaceOf(0);
  #context = contextIn(this.#space, 0);

  /** How many more generations there are before `renumber` is due. */
  get room(): number {
    return GENERATIONS - 1 - this.#last;
  }

  /** Makes a context the current one. False when it was. */
  enter(asid: number, pcid: number): boolean {
    if (asid === this.#asid && pcid === this.#pcid) return false;
    this.#asid = asid;
    this.#pcid = pcid;
    this.#find();
    return true;
  }

  /** Generation of the current context, from 1. Throws when there is no room. */
  current(): number {
    return this.#renewed(this.#context, this.#space.floor);
  }

  /** Generation of the global translations of its address space id. */
  currentGlobal(): number {
    return this.#renewed(this.#space.global, this.#space.globalFloor);
  }

  /** Generation of any context. */
  generation(asid: number, pcid: number): number {
    const space = this.#spaceOf(asid);
    return this.#renewed(contextIn(space, pcid), space.floor);
  }

  flushAll(): void {
    this.#floorOfAll = this.#last + 1;
  }

  /** Every PCID of an address space id, without its global translations. */
  flushNonGlobal(asid: number): void {
    this.#spaceOf(asid).floor = this.#last + 1;
  }

  flushGlobal(asid: number): void {
    this.#spaceOf(asid).globalFloor = this.#last + 1;
  }

  flushPcid(asid: number, pcid: number): void {
    contextIn(this.#spaceOf(asid), pcid).generation = 0;
  }

  /** Takes over every generation of another TLB's contexts, and which is the current one. */
  copyFrom(other: TlbContexts): void {
    this.#spaces = structuredClone(other.#spaces);
    this.#floorOfAll = other.#floorOfAll;
    this.#last = other.#last;
    this.#asid = other.#asid;
    this.#pcid = other.#pcid;
    this.#find();
  }

  /**
   * Starts counting again, and leaves every context what it has. Returns the new numbers of generations by the old ones;
   * those without one are stale.
   */
  renumber(): ReadonlyMap<number, number> {
    const numbers = new Map<number, number>();
    const floorOfAll = this.#floorOfAll;
    this.#floorOfAll = 1;
    this.#last = 0;
    const renumber = (context: Context, floor: number): void => {
      const { generation } = context;
      const isStale = generation < floorOfAll || generation < floor;
      context.generation = isStale ? 0 : ++this.#last;
      if (!isStale) numbers.set(generation, this.#last);
    };
    for (const space of this.#spaces.values()) {
      for (const context of space.byPcid.values()) renumber(context, space.floor);
      renumber(space.global, space.globalFloor);
      space.floor = 0;
      space.globalFloor = 0;
    }
    return numbers;
  }

  #find(): void {
    this.#space = this.#spaceOf(this.#asid);
    this.#context = contextIn(this.#space, this.#pcid);
  }

  #spaceOf(asid: number): AddressSpace {
    let space = this.#spaces.get(asid);
    if (space === undefined) {
      space = { floor: 0, globalFloor: 0, global: { generation: 0 }, byPcid: new Map() };
      this.#spaces.set(asid, space);
    }
    return space;
  }

  #renewed(context: Context, floor: number): number {
    if (context.generation < this.#floorOfAll || context.generation < floor) {
      if (this.room === 0) throw new Error('tlb: out of generations');
      context.generation = ++this.#last;
    }
    return context.generation;
  }
}

function contextIn({ byPcid }: AddressSpace, pcid: number): Context {
  let context = byPcid.get(pcid);
  if (context === undefined) {
    context = { generation: 0 };
    byPcid.set(pcid, context);
  }
  return context;
}
