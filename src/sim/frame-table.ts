// SPDX-License-Identifier: GPL-2.0-only
import { FrameMap } from './frame-map.ts';
import { grown } from './shadow-pages.ts';

/** Frames of one run. */
const RUN = 512;
const RUN_SHIFT = 9;
/** Frames whose runs are found by one array load: 1 TiB. Others live in a hash, lest one stray frame make a huge index. */
const DENSE_FRAMES = 0x1000_0000;

/**
 * Frame number to a 32-bit value, 0 when there is none. Frames come in runs of 512 that lie in one arena, so that what is
 * kept for neighbours is near, and nothing is hashed. A run stays once it has held a value: at most four bytes for each
 * frame of RAM. KVM keeps such arrays with each memslot.
 */
export class FrameTable {
  /** Values by `place`. Run 0 is for reading alone: it is the run of every frame without one. Replaced when it grows. */
  values = new Int32Array(RUN);
  #runs = new Int32Array(16);
  readonly #others = new FrameMap();
  #next = 1;

  get(frame: number): number {
    return this.values[this.place(frame)]!;
  }

  put(frame: number, value: number): void {
    // Taken first, as it may replace `values`.
    const place = this.ownPlace(frame);
    this.values[place] = value;
  }

  /** Where the value of a frame is, for reading. */
  place(frame: number): number {
    if (frame >= DENSE_FRAMES) return this.#otherPlace(frame);
    // Such a frame has 28 bits: a shift does, which costs far less than a division.
    const run = frame >>> RUN_SHIFT;
    return run < this.#runs.length ? (this.#runs[run]! << RUN_SHIFT) | (frame & (RUN - 1)) : frame & (RUN - 1);
  }

  #otherPlace(frame: number): number {
    const base = this.#others.size === 0 ? 0 : this.#others.get(Math.floor(frame / RUN));
    return base * RUN + (frame & (RUN - 1));
  }

  /** Where the value of a frame is, for writing: makes its run. May replace `values`. */
  ownPlace(frame: number): number {
    const place = this.place(frame);
    return place < RUN ? this.#newRun(Math.floor(frame / RUN)) * RUN + (frame & (RUN - 1)) : place;
  }

  #newRun(run: number): number {
    const base = this.#next++;
    // By half: growing to twice the size would leave more unused than a table of this kind may cost.
    if ((base + 1) * RUN > this.values.length) this.values = grown(this.values, (base + 1 + (base >> 1)) * RUN);
    if (run >= DENSE_FRAMES / RUN) this.#others.set(run, base);
    else {
      if (run >= this.#runs.length) this.#runs = grown(this.#runs, 2 ** Math.ceil(Math.log2(run + 1)));
      this.#runs[run] = base;
    }
    return base;
  }
}
