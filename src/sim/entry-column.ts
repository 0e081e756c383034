// SPDX-License-Identifier: GPL-2.0-only
import { grown } from './shadow-pages.ts';

/** One small number (0 to 254) for each entry of the shadow pages, which are `page * 512 + index`; none at first. */
export class EntryColumn {
  /** One more than the number, 0 for none. */
  #values = new Uint8Array(2 ** 15);

  /** -1 for none. */
  get(entry: number): number {
    return entry < this.#values.length ? this.#values[entry]! - 1 : -1;
  }

  set(entry: number, value: number): void {
    if (entry >= this.#values.length) this.#values = grown(this.#values, 2 ** Math.ceil(Math.log2(entry + 1)));
    this.#values[entry] = value + 1;
  }
}
