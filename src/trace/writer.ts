// SPDX-License-Identifier: GPL-2.0-only
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { encodeEvents, MOST_EVENT_BYTES } from './codec.ts';
import { CHUNK_EVENTS, chunkHead, headBytes, type IndexEntry, indexBytes, trailerBytes } from './file-format.ts';
import { headerJson, type TraceHeader } from './header.ts';

const deflate = promisify(deflateRaw);

/** Of 1 to 9. Higher ones take several times as long and gain a few per cent. */
const LEVEL = 3;

/** Where a trace goes, piece after piece. The promise is kept when the piece is taken: that is the back-pressure. */
export interface TraceSink {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Writes a trace, chunk after chunk. At most one chunk is held, and `write` resolves only when the sink has taken what was
 * whole: who awaits it never runs ahead of the sink.
 */
export class TraceWriter {
  readonly #sink: TraceSink;
  readonly #chunkEvents: number;
  /** Events of the chunk that is being filled. */
  readonly #chunk: Int32Array;
  readonly #plain: Uint8Array;
  readonly #index: IndexEntry[] = [];
  #filled = 0;
  #events = 0;
  #offset = 0;

  private constructor(sink: TraceSink, chunkEvents: number) {
    this.#sink = sink;
    this.#chunkEvents = chunkEvents;
    this.#chunk = new Int32Array(2 * chunkEvents);
    this.#plain = new Uint8Array(MOST_EVENT_BYTES * chunkEvents);
  }

  /** Writes the header. `chunkEvents` is for tests. */
  static async open(sink: TraceSink, header: TraceHeader, chunkEvents = CHUNK_EVENTS): Promise<TraceWriter> {
    const writer = new TraceWriter(sink, chunkEvents);
    await writer.#put(headBytes(JSON.stringify(headerJson(header))));
    return writer;
  }

  /** Events and bytes written so far, those that wait for their chunk to be whole left out. */
  get written(): { readonly events: number; readonly bytes: number } {
    return { events: this.#events, bytes: this.#offset };
  }

  /** Adds events `from` to `to` of a packed trace. */
  async write(trace: Int32Array, from: number, to: number): Promise<void> {
    for (let at = from; at < to; ) {
      const count = Math.min(to - at, this.#chunkEvents - this.#filled);
      this.#chunk.set(trace.subarray(2 * at, 2 * (at + count)), 2 * this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.#chunkEvents) await this.#putChunk();
    }
  }

  /** Writes what is left, the index and the trailer. */
  async end(): Promise<void> {
    if (this.#filled > 0) await this.#putChunk();
    const indexOffset = this.#offset;
    await this.#put(indexBytes(this.#index));
    await this.#put(trailerBytes({ indexOffset, events: this.#events }));
  }

  async #putChunk(): Promise<void> {
    const events = this.#filled;
    const plainBytes = encodeEvents(this.#chunk, events, this.#plain);
    const packed = await deflate(this.#plain.subarray(0, plainBytes), { level: LEVEL });
    const number = this.#index.length;
    this.#index.push({ offset: this.#offset, firstEvent: this.#events });
    await this.#put(Buffer.concat([chunkHead({ number, events, plainBytes }, packed), packed]));
    this.#events += events;
    this.#filled = 0;
  }

  async #put(bytes: Buffer): Promise<void> {
    await this.#sink.write(bytes);
    this.#offset += bytes.length;
  }
}
