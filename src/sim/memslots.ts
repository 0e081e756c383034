// SPDX-License-Identifier: GPL-2.0-only
import { firstFrame, framesOf } from './address-parts.ts';
import { FrameMap } from './frame-map.ts';

/**
 * The guest's RAM as KVM sees it: one slot of 4 KiB frames from 0 on, and per frame and level how many reasons forbid a
 * large mapping and how many upper-level shadow pages need guest writes caught.
 */
export class Memslots {
  /** Frames of RAM: gfn is visible when below. */
  readonly frames: number;
  /** Slots of KVM's own, which the guest is not told of: first frame and number. */
  readonly #private: { readonly first: number; readonly frames: number }[] = [];
  readonly #noLarge = new FrameMap();
  readonly #tracked = new FrameMap();

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
    for (let level = 2; level <= 3; level++) {
      const key = firstFrame(gfn, level) * 8 + level;
      this.#noLarge.put(key, this.#noLarge.get(key) + by);
    }
  }

  /** False when a reason forbids it, or the slot does not cover the whole large page. */
  allowsLarge(gfn: number, level: number): boolean {
    const first = firstFrame(gfn, level);
    return first + framesOf(level) <= this.frames && this.#noLarge.get(first * 8 + level) === 0;
  }

  /** Adds (1) or takes back (-1) a need to catch guest writes to the frame. */
  track(gfn: number, by: 1 | -1): void {
    this.#tracked.put(gfn, this.#tracked.get(gfn) + by);
  }

  isTracked(gfn: number): boolean {
    return this.#tracked.get(gfn) > 0;
  }
}
