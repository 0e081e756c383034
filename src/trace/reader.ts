// SPDX-License-Identifier: GPL-2.0-only
import { inflateRawSync } from 'node:zlib';
import { UserError } from '../errors.ts';
import { decodeEvents, MOST_EVENT_BYTES } from './codec.ts';
import { type Head, hex, readHead, readTail, type Tail, type TraceSource } from './file-ends.ts';
import {
  CHUNK_HEAD_BYTES,
  type ChunkHead,
  chunkCrc,
  type IndexEntry,
  isIndex,
  MOST_CHUNK_EVENTS,
  readChunkHead,
} from './file-format.ts';
import type { TraceHeader } from './header.ts';

/** Some events of a trace. `words` is used again for the next piece. */
export interface TracePiece {
  readonly words: Int32Array;
  readonly count: number;
  /** Number of the first event in the whole trace. */
  readonly firstEvent: number;
}

export interface ReaderOptions {
  /** Take what is whole before the first damage, and tell `damage`, instead of refusing the file. */
  readonly salvage?: boolean;
}

/** Reads a trace: chunk after chunk, one in memory at a time. */
export class TraceReader {
  readonly header: TraceHeader;
  /** Events of the trace; null when the end of a damaged file does not tell. */
  readonly events: number | null;
  readonly #source: TraceSource;
  readonly #index: readonly IndexEntry[] | null;
  /** Offset of the first chunk, and of what follows the last one. */
  readonly #first: number;
  readonly #end: number;
  readonly #salvage: boolean;
  /** Packed bytes of the chunk that is read: one buffer for all. */
  #packed = Buffer.alloc(0);
  #damage: UserError | null;

  private constructor(source: TraceSource, { header, first }: Head, { tail, damage, salvage }: TailAndDamage) {
    this.#source = source;
    this.header = header;
    this.events = tail?.events ?? null;
    this.#index = tail?.index ?? null;
    this.#first = first;
    this.#end = tail?.indexOffset ?? source.size;
    this.#salvage = salvage;
    this.#damage = damage;
  }

  /** Reads header and index. UserError when the file is no trace, of another version, or damaged; a header must be whole. */
  static async open(source: TraceSource, { salvage = false }: ReaderOptions = {}): Promise<TraceReader> {
    const head = await readHead(source);
    try {
      const tail = await readTail(source, head.first);
      return new TraceReader(source, head, { tail, damage: null, salvage });
    } catch (error) {
      if (!(error instanceof UserError) || !salvage) throw await TraceReader.#firstDamage(source, head, error);
      return new TraceReader(source, head, { tail: null, damage: error, salvage });
    }
  }

  /** A file that lost its end: says after which chunk, which is what its owner asks next. */
  static async #firstDamage(source: TraceSource, head: Head, error: unknown): Promise<unknown> {
    if (!(error instanceof UserError)) return error;
    const reader = new TraceReader(source, head, { tail: null, damage: error, salvage: true });
    for await (const _ of reader.pieces());
    return reader.damage;
  }

  /** Why a salvaged file was not read to its end; null while it is whole. Known after the last piece. */
  get damage(): UserError | null {
    return this.#damage;
  }

  /** Chunks, null when the index is lost. */
  get chunks(): number | null {
    return this.#index?.length ?? null;
  }

  /** The events from number `from` up to, but without, `to`, in order. UserError at the first damage, unless salvaging. */
  async *pieces(from = 0, to = Number.POSITIVE_INFINITY): AsyncGenerator<TracePiece> {
    const start = this.#startOf(from);
    let { offset, firstEvent } = start;
    let words = new Int32Array(0);
    for (let number = start.number; firstEvent < to; number++) {
      let chunk: Chunk | null;
      try {
        chunk = await this.#chunk(offset, { number, firstEvent });
      } catch (error) {
        if (!this.#salvage || !(error instanceof UserError)) throw error;
        this.#damage = error;
        return;
      }
      if (chunk === null) return;
      const { events } = chunk.head;
      if (words.length < 2 * events) words = new Int32Array(2 * events);
      if (!decodeEvents(chunk.plain, events, words)) {
        throw this.#error(number, 'bytes that are no events', 'what a writer of this format puts there');
      }
      const begin = Math.max(from - firstEvent, 0);
      const end = Math.min(to - firstEvent, events);
      if (end > begin)
        yield { words: words.subarray(2 * begin, 2 * end), count: end - begin, firstEvent: firstEvent + begin };
      offset += CHUNK_HEAD_BYTES + chunk.head.packedBytes;
      firstEvent += events;
    }
  }

  /** The chunk to begin with: by the index, or from the beginning without one. */
  #startOf(event: number): { number: number; offset: number; firstEvent: number } {
    const index = this.#index ?? [];
    let low = 0;
    let high = index.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (index[middle]!.firstEvent <= event) low = middle;
      else high = middle;
    }
    return { number: low, ...(index[low] ?? { offset: this.#first, firstEvent: 0 }) };
  }

  /** The chunk at an offset, null when there is no more. */
  async #chunk(offset: number, { number, firstEvent }: { number: number; firstEvent: number }): Promise<Chunk | null> {
    const source = this.#source;
    if (offset === this.#end) {
      if (this.events === null) throw this.#cut(number, firstEvent);
      if (firstEvent !== this.events) {
        throw this.#error(number, `the end after ${firstEvent} events`, `${this.events} events, as the trailer says`);
      }
      return null;
    }
    const bytes = await source.read(offset, CHUNK_HEAD_BYTES);
    // Every chunk is here; what is damaged stands behind them.
    if (this.#index === null && isIndex(bytes)) return null;
    if (bytes.length < CHUNK_HEAD_BYTES) throw this.#cut(number, firstEvent);
    const head = readChunkHead(bytes);
    if (head === null) throw this.#error(number, `no chunk at byte ${offset}`, 'the mark CHNK');
    const end = offset + CHUNK_HEAD_BYTES + head.packedBytes;
    if (!isPlausible(head, number) || (this.#index !== null && end > this.#end)) {
      throw this.#error(number, 'a head that cannot be', `chunk number ${number}, and sizes that fit it`);
    }
    if (end > this.#end) throw this.#cut(number, firstEvent);
    if (this.#packed.length < head.packedBytes) this.#packed = Buffer.allocUnsafeSlow(2 * head.packedBytes);
    const packed = await source.read(offset + CHUNK_HEAD_BYTES, head.packedBytes, this.#packed);
    const crc = chunkCrc(bytes, packed);
    if (crc !== head.crc) {
      throw this.#error(number, `checksum ${hex(crc)} of events ${firstEvent} and up`, `${hex(head.crc)}, as written`);
    }
    return { head, plain: this.#unpack(packed, head) };
  }

  #unpack(packed: Buffer, { number, plainBytes }: ChunkHead): Buffer {
    try {
      // One buffer of the right size: a default one is many small ones, and a copy of them all.
      const plain = inflateRawSync(packed, { chunkSize: Math.max(plainBytes, 64), maxOutputLength: plainBytes });
      if (plain.length === plainBytes) return plain;
    } catch {}
    throw this.#error(number, 'packed bytes that do not unpack', `${plainBytes} bytes`);
  }

  #cut(number: number, events: number): UserError {
    const whole = number === 0 ? 'No chunk is whole.' : `Chunks 0 to ${number - 1}, ${events} events, are whole.`;
    return this.#error(number, `the file ends here, at byte ${this.#source.size}. ${whole}`, 'chunks, then an index');
  }

  #error(chunk: number, found: string, expected: string): UserError {
    const suggestion = chunk === 0 ? {} : { suggestion: '--salvage, which takes the chunks before it' };
    return new UserError({ place: `${this.#source.name}: chunk ${chunk}`, found, expected, ...suggestion });
  }
}

interface Chunk {
  readonly head: ChunkHead;
  readonly plain: Buffer;
}

interface TailAndDamage {
  readonly tail: Tail | null;
  readonly damage: UserError | null;
  readonly salvage: boolean;
}

const isPlausible = ({ number, events, plainBytes }: ChunkHead, expected: number): boolean =>
  number === expected &&
  events >= 1 &&
  events <= MOST_CHUNK_EVENTS &&
  plainBytes >= events &&
  plainBytes <= MOST_EVENT_BYTES * events;
