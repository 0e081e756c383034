// SPDX-License-Identifier: GPL-2.0-only
import { firstFrame } from './address-parts.ts';
import { FrameMap } from './frame-map.ts';
import { ENTRIES, grown } from './shadow-pages.ts';

/**
 * Which leaf entries map a guest frame (KVM's reverse map). Keyed by the frame and by the size of the mapping: a 2 MiB
 * mapping is filed under level 2 and the first of its 512 frames. An entry is `page id * 512 + index`.
 */
export class ReverseMap {
  readonly #heads = new FrameMap();
  #entry = new Int32Array(256);
  #next = new Int32Array(256);
  #free = 0;
  #used = 1;

  add(gfn: number, level: number, page: number, index: number): void {
    let node = this.#free;
    if (node !== 0) this.#free = this.#next[node]!;
    else {
      node = this.#used++;
      if (node === this.#entry.length) {
        this.#entry = grown(this.#entry, node * 2);
        this.#next = grown(this.#next, node * 2);
      }
    }
    const key = keyOf(gfn, level);
    this.#entry[node] = page * ENTRIES + index;
    this.#next[node] = this.#heads.get(key);
    this.#heads.put(key, node);
  }

  /** Throws when the entry was not filed there: an rmap that lies would leave writable mappings behind. */
  remove(gfn: number, level: number, page: number, index: number): void {
    const key = keyOf(gfn, level);
    const entry = page * ENTRIES + index;
    let before = 0;
    for (let node = this.#heads.get(key); node !== 0; before = node, node = this.#next[node]!) {
      if (this.#entry[node] !== entry) continue;
      if (before === 0) this.#heads.put(key, this.#next[node]!);
      else this.#next[before] = this.#next[node]!;
      this.#next[node] = this.#free;
      this.#free = node;
      return;
    }
    throw new Error(`rmap: entry ${index} of page ${page} does not map gfn ${gfn} at level ${level}`);
  }

  /** The entries that map the frame at this level, newest first. A copy: callers drop entries while they go through it. */
  entries(gfn: number, level: number): number[] {
    const found: number[] = [];
    for (let node = this.#heads.get(keyOf(gfn, level)); node !== 0; node = this.#next[node]!)
      found.push(this.#entry[node]!);
    return found;
  }

  /** True when nothing maps the frame at this level. */
  isEmpty(gfn: number, level: number): boolean {
    return this.#heads.get(keyOf(gfn, level)) === 0;
  }
}

/** Frames are below 2^40, levels below 8. */
function keyOf(gfn: number, level: number): number {
  return firstFrame(gfn, level) * 8 + level;
}
