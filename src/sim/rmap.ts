// SPDX-License-Identifier: GPL-2.0-only
import { framesOf } from './address-parts.ts';
import { FrameTable } from './frame-table.ts';
import { ENTRIES, grown } from './shadow-pages.ts';

/** Sizes of page that can be mapped: 4 KiB, 2 MiB, 1 GiB. */
const LEVELS = 3;

/**
 * Which leaf entries map a guest frame (KVM's reverse map). Keyed by the frame and by the size of the mapping: a 2 MiB
 * mapping is filed under level 2 and the first of its 512 frames. An entry is `page id * 512 + index`.
 *
 * A head is 0 for none, an entry when it is the only one, as for nearly every frame, else minus the first node of a list.
 */
export class ReverseMap {
  /** By level - 1, of pages of that level counted from 0. */
  readonly #heads = Array.from({ length: LEVELS }, () => new FrameTable());
  // A node is an entry, and the next node or 0.
  #entry = new Int32Array(64);
  #next = new Int32Array(64);
  #free = 0;
  #used = 1;

  add(gfn: number, level: number, page: number, index: number): void {
    const table = this.#heads[level - 1]!;
    const entry = page * ENTRIES + index;
    const place = table.ownPlace(pageOf(gfn, level));
    const head = table.values[place]!;
    if (head === 0) table.values[place] = entry;
    else table.values[place] = -this.#node(entry, head < 0 ? -head : this.#node(head, 0));
  }

  /** Throws when the entry was not filed there: an rmap that lies would leave writable mappings behind. */
  remove(gfn: number, level: number, page: number, index: number): void {
    const { values } = this.#heads[level - 1]!;
    const place = this.#heads[level - 1]!.place(pageOf(gfn, level));
    const entry = page * ENTRIES + index;
    const head = values[place]!;
    if (head === entry) {
      values[place] = 0;
      return;
    }
    let before = 0;
    for (let node = head < 0 ? -head : 0; node !== 0; before = node, node = this.#next[node]!) {
      if (this.#entry[node] !== entry) continue;
      if (before === 0) values[place] = -this.#next[node]!;
      else this.#next[before] = this.#next[node]!;
      this.#release(node);
      this.#unlist(values, place);
      return;
    }
    throw new Error(`rmap: entry ${index} of page ${page} does not map gfn ${gfn} at level ${level}`);
  }

  /** The entries that map the frame at this level, newest first. A copy: callers drop entries while they go through it. */
  entries(gfn: number, level: number): number[] {
    const head = this.#heads[level - 1]!.get(pageOf(gfn, level));
    if (head > 0) return [head];
    const found: number[] = [];
    for (let node = -head; node !== 0; node = this.#next[node]!) found.push(this.#entry[node]!);
    return found;
  }

  /** True when nothing maps the frame at this level. */
  isEmpty(gfn: number, level: number): boolean {
    return this.#heads[level - 1]!.get(pageOf(gfn, level)) === 0;
  }

  /** A list of one is no list. */
  #unlist(values: Int32Array, place: number): void {
    const node = -values[place]!;
    if (this.#next[node] !== 0) return;
    values[place] = this.#entry[node]!;
    this.#release(node);
  }

  #node(entry: number, next: number): number {
    let node = this.#free;
    if (node !== 0) this.#free = this.#next[node]!;
    else {
      node = this.#used++;
      if (node === this.#entry.length) {
        this.#entry = grown(this.#entry, node * 2);
        this.#next = grown(this.#next, node * 2);
      }
    }
    this.#entry[node] = entry;
    this.#next[node] = next;
    return node;
  }

  #release(node: number): void {
    this.#next[node] = this.#free;
    this.#free = node;
  }
}

/** Number of the page of a level that holds a frame. */
const pageOf = (gfn: number, level: number): number => (level === 1 ? gfn : Math.floor(gfn / framesOf(level)));
