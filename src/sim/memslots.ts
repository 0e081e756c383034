// SPDX-License-Identifier: GPL-2.0-only
import { framesOf } from './address-parts.ts';
import { FrameTable } from './frame-table.ts';

/**
 * The guest's RAM as KVM sees it: one slot of 4 KiB frames from 0 on, and per frame and level how many reasons forbid a
 * large mapping and how many upper-level shadow pages need guest writes caught.
 */
export class Memslots {
  /** Frames of RAM: gfn is visible when below. */
  readonly frames: number;
  /** Slots of KVM's own, which the guest is not told of: first frame and number. */
  readonly #private: { readonly first: number; readonly frames: number }[] = [];
  /** Reasons against large mappings, by number of the page of level 2 and of level 3. */
  readonly #noLarge2 = new FrameTable();
  readonly #noLarge3 = new FrameTable();
  readonly #tracked = new FrameTable();

  constructor(frames: number) {
    this.frames = frames;
  }

  isVisible(gfn: number): boolean {
    return gfn >= 0 && gfn < this.frames;
  }

  /** A slot of KVM's own. */
  addPrivate(first: number, frames: number): void {
    this.#private.push({ first, frames });
  }

  /** Whether there is memory behind a frame at all, visible or KVM's own. */
  isBacked(gfn: number): boolean {
    return this.isVisible(gfn) || this.#private.some(({ first, frames }) => gfn >= first && gfn < first + frames);
  }

  /** Adds (1) or takes back (-1) a reason against large mappings of the frame, at levels 2 and 3. */
  forbidLarge(gfn: number, by: 1 | -1): void {
    add(this.#noLarge2, Math.floor(gfn / framesOf(2)), by);
    add(this.#noLarge3, Math.floor(gfn / framesOf(3)), by);
  }

  /** False when a reason forbids it at level 2 or 3, or the slot does not cover the whole large page. */
  allowsLarge(gfn: number, level: number): boolean {
    const page = Math.floor(gfn / framesOf(level));
    const reasons = level === 2 ? this.#noLarge2 : this.#noLarge3;
    return (page + 1) * framesOf(level) <= this.frames && reasons.get(page) === 0;
  }

  /** Adds (1) or takes back (-1) a need to catch guest writes to the frame. */
  track(gfn: number, by: 1 | -1): void {
    add(this.#tracked, gfn, by);
  }

  isTracked(gfn: number): boolean {
    return this.#tracked.get(gfn) > 0;
  }
}

function add(table: FrameTable, frame: number, by: number): void {
  // Taken first, as it may replace `values`.
  const place = table.ownPlace(frame);
  table.values[place]! += by;
}
