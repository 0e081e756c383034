// SPDX-License-Identifier: GPL-2.0-only
import type { Argv } from 'yargs';

/** Tells on standard error how far long work is. */
export interface Progress {
  /** How much there is; `done` of it was done before. */
  start(total: number, done?: number): void;
  /** One more is done: `item` says which. */
  step(item: string): void;
  /** So many more are done, of things too many to name. */
  advance(count: number): void;
  /** Takes the bar away, before anything else is written. */
  end(): void;
}

/** How to tell it: a bar on a terminal and nothing elsewhere, JSON lines anywhere, or nothing. */
export type ProgressForm = 'auto' | 'ndjson' | 'none';

/** The option of every command that can take long. */
export function withProgress<T>(yargs: Argv<T>): Argv<T> {
  return yargs.option('progress', {
    choices: ['auto', 'ndjson', 'none'] as const,
    default: 'auto',
    describe: 'on standard error: a bar on a terminal (auto), or a JSON object a line',
  }) as Argv<T>;
}

interface Stream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Between two pictures of the bar: fast enough to look alive, slow enough to cost nothing. */
const REDRAW_MS = 80;
const BAR_WIDTH = 24;

/** Progress of one command; `what` is its name in JSON lines. */
export function progressOf(what: string, form: ProgressForm, stream: Stream = process.stderr): Progress {
  if (form === 'ndjson') return new Lines(what, stream);
  return form === 'auto' && stream.isTTY === true ? new Bar(stream) : silent;
}

const silent: Progress = { start() {}, step() {}, advance() {}, end() {} };

class Lines implements Progress {
  readonly #what: string;
  readonly #stream: Stream;
  #total = 0;
  #done = 0;

  constructor(what: string, stream: Stream) {
    this.#what = what;
    this.#stream = stream;
  }

  start(total: number, done = 0): void {
    this.#total = total;
    this.#done = done;
    this.#write({});
  }

  step(item: string): void {
    this.#done++;
    this.#write({ item });
  }

  /** A line for each hundredth. */
  advance(count: number): void {
    const before = this.#hundredths();
    this.#done += count;
    if (this.#hundredths() > before) this.#write({});
  }

  end(): void {}

  #hundredths(): number {
    return Math.floor((100 * this.#done) / this.#total);
  }

  #write(more: { item?: string }): void {
    const line = { progress: this.#what, done: this.#done, total: this.#total, ...more };
    this.#stream.write(`${JSON.stringify(line)}\n`);
  }
}

class Bar implements Progress {
  readonly #stream: Stream;
  #total = 0;
  #done = 0;
  #drawnAt = 0;
  #isDrawn = false;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  start(total: number, done = 0): void {
    this.#total = total;
    this.#done = done;
    this.#draw('');
  }

  step(item: string): void {
    this.#add(1, item);
  }

  advance(count: number): void {
    this.#add(count, '');
  }

  #add(count: number, item: string): void {
    this.#done += count;
    const isDue = Date.now() - this.#drawnAt >= REDRAW_MS;
    if (isDue || this.#done === this.#total) this.#draw(item);
  }

  end(): void {
    if (this.#isDrawn) this.#stream.write('\r\u001b[K');
    this.#isDrawn = false;
  }

  #draw(item: string): void {
    const full = this.#total === 0 ? BAR_WIDTH : Math.floor((this.#done / this.#total) * BAR_WIDTH);
    const bar = '#'.repeat(full).padEnd(BAR_WIDTH, '.');
    const line = `[${bar}] ${this.#done}/${this.#total} ${item}`.slice(0, (this.#stream.columns ?? 80) - 1);
    this.#stream.write(`\r\u001b[K${line}`);
    this.#isDrawn = true;
    this.#drawnAt = Date.now();
  }
}
