// SPDX-License-Identifier: GPL-2.0-only
/** A trace file holds any events, loses nothing, and no damage to it passes unseen. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { decodeEvents, encodeEvents, MOST_EVENT_BYTES } from '../../src/trace/codec.ts';
import { crc32 } from '../../src/trace/crc32.ts';
import { EVENT, pageWord } from '../../src/trace/events.ts';
import { TraceWriter } from '../../src/trace/writer.ts';
import { fileOf, header, readAll } from './memory-file.ts';

const anyWords = fc
  .array(fc.tuple(fc.integer(), fc.integer()), { maxLength: 100 })
  .map((events) => Int32Array.from(events.flat()));

/** Accesses near each other, as real ones are, with other events between them. */
const likelyWords = fc
  .array(
    fc.tuple(
      fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 2 }) }, { weight: 1, arbitrary: fc.nat({ max: 15 }) }),
      fc.nat({ max: 2 ** 45 - 1 }).map((page) => (page % 3 === 0 ? page : 0x7f0000000 + (page % 5000))),
    ),
    { maxLength: 200 },
  )
  .map((events) =>
    Int32Array.from(
      events.flatMap(([form, page]) => [page, pageWord([EVENT.READ, EVENT.WRITE, EVENT.EXEC][form] ?? form, page)]),
    ),
  );

const small = Int32Array.from(
  Array.from({ length: 20 }, (_, i) => [0xf0000000 + ((i * 7) % 64), pageWord(i % 2, 0x7f0000000)]).flat(),
);

describe('events as bytes', () => {
  it.each([
    ['any words', anyWords],
    ['likely events', likelyWords],
  ])('%s come back', (_, words) => {
    fc.assert(
      fc.property(words, (trace) => {
        const count = trace.length / 2;
        const bytes = new Uint8Array(MOST_EVENT_BYTES * count);
        const length = encodeEvents(trace, count, bytes);
        const back = new Int32Array(trace.length);
        expect(decodeEvents(bytes.subarray(0, length), count, back)).toBe(true);
        expect(back).toEqual(trace);
        // One byte too few, or an event too many, is no coincidence that decodes.
        if (count > 0) expect(decodeEvents(bytes.subarray(0, length - 1), count, back)).toBe(false);
        expect(decodeEvents(bytes.subarray(0, length), count + 1, new Int32Array(trace.length + 2))).toBe(false);
      }),
    );
  });

  it('take three bytes for a page that is any of 1 GiB, and one for the next page', () => {
    const bytes = new Uint8Array(100);
    const pageAt = (page: number) => [page, pageWord(EVENT.READ, page)];
    expect(encodeEvents(Int32Array.from([...pageAt(0), ...pageAt(262143)]), 2, bytes)).toBe(1 + 3);
    expect(encodeEvents(Int32Array.from([...pageAt(5), ...pageAt(6), ...pageAt(7)]), 3, bytes)).toBe(3);
  });
});

describe('checksum', () => {
  // The check value of CRC-32/ISO-HDLC, in every catalogue of CRCs.
  it('is the CRC-32 of zlib', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
    expect(crc32(Buffer.from('1234'), Buffer.from('56789'))).toBe(0xcbf43926);
  });
});

describe('a file', () => {
  it('gives back header and events, in chunks of any size', async () => {
    await fc.assert(
      fc.asyncProperty(anyWords, fc.integer({ min: 1, max: 40 }), async (trace, chunkEvents) => {
        const { words, reader, damage } = await readAll(await fileOf(trace, chunkEvents));
        expect(words).toEqual([...trace]);
        expect(damage).toBe(null);
        expect(reader.header).toEqual(header);
        expect([reader.events, reader.chunks]).toEqual([words.length / 2, Math.ceil(words.length / 2 / chunkEvents)]);
      }),
      { numRuns: 40 },
    );
  });

  it('is the same bytes for the same events, however they are handed over', async () => {
    const parts: Uint8Array[] = [];
    const writer = await TraceWriter.open({ write: async (bytes) => void parts.push(bytes) }, header, 8);
    for (let at = 0; at < 20; at += 3) await writer.write(small, at, Math.min(at + 3, 20));
    await writer.end();
    expect(Buffer.concat(parts)).toEqual(await fileOf(small));
  });

  it('gives any part of the events', async () => {
    const file = await fileOf(small);
    for (let from = 0; from <= 20; from++) {
      for (const to of [from, from + 1, from + 9, 20]) {
        const { words } = await readAll(file, { from, to });
        expect(words).toEqual([...small.subarray(2 * from, 2 * to)]);
      }
    }
  });

  it('that ends at any byte is refused, and salvaged up to its last whole chunk', async () => {
    const file = await fileOf(small);
    const chunkEnds = await endsOfChunks();
    for (let length = 0; length < file.length; length++) {
      const cut = file.subarray(0, length);
      await expect(readAll(cut), `${length} bytes`).rejects.toThrow(UserError);
      const whole = chunkEnds.filter((end) => end <= length).length;
      if (length < chunkEnds[0]!) {
        await expect(readAll(cut, { salvage: true })).rejects.toThrow(UserError);
        continue;
      }
      const { words, damage } = await readAll(cut, { salvage: true });
      expect(words).toEqual([...small.subarray(0, 2 * Math.min(8 * (whole - 1), 20))]);
      expect(damage).toMatch(/small\.mmut: (chunk \d|end)/);
    }
  });

  it('with any bit flipped is refused', async () => {
    const file = await fileOf(small);
    for (let bit = 0; bit < 8 * file.length; bit++) {
      const damaged = Buffer.from(file);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      await expect(readAll(damaged), `bit ${bit}`).rejects.toThrow(UserError);
    }
  });

  it('names the chunk that is damaged', async () => {
    const file = await fileOf(small);
    const [, , end] = await endsOfChunks();
    const damaged = Buffer.from(file);
    damaged[end! - 1]! ^= 0x10;
    await expect(readAll(damaged)).rejects.toThrow(/small\.mmut: chunk 1: checksum 0x[0-9a-f]{8} of events 8 and up/);
    const { words, damage } = await readAll(damaged, { salvage: true });
    expect(words).toEqual([...small.subarray(0, 16)]);
    expect(damage).toMatch(/chunk 1/);
    await expect(readAll(file.subarray(0, end! - 1))).rejects.toThrow(
      /chunk 1: the file ends here.*Chunks 0 to 0, 8 events/,
    );
  });

  it('of another version, and one that is no trace, say so', async () => {
    const file = await fileOf(small);
    const newer = Buffer.from(file);
    newer.writeUInt16LE(2, 4);
    await expect(readAll(newer)).rejects.toThrow(/trace format 2\n {2}expected: format 1\n {2}try: a newer mmu-eras/);
    await expect(readAll(Buffer.from('# ops\nr 0x1000\n'))).rejects.toThrow(/no trace file/);
  });

  it('with two chunks in the wrong order is refused', async () => {
    const file = await fileOf(small);
    const [first, second, third] = await endsOfChunks();
    const swapped = Buffer.concat([
      file.subarray(0, first!),
      file.subarray(second!, third!),
      file.subarray(first!, second!),
      file.subarray(third!),
    ]);
    await expect(readAll(swapped)).rejects.toThrow(/chunk 0: a head that cannot be/);
  });
});

/** Offsets behind the header and behind each chunk of `small`. */
async function endsOfChunks(): Promise<number[]> {
  const ends: number[] = [];
  let length = 0;
  const sink = {
    write: async (bytes: Uint8Array) => {
      length += bytes.length;
      ends.push(length);
    },
  };
  const writer = await TraceWriter.open(sink, header, 8);
  await writer.write(small, 0, 20);
  await writer.end();
  return ends.slice(0, 1 + 3);
}

describe('back-pressure', () => {
  it('holds the writer until the sink has taken each piece', async () => {
    const log: string[] = [];
    let open = 0;
    const slow = {
      write: async (bytes: Uint8Array) => {
        open++;
        log.push(`${open} open`);
        await new Promise((resolve) => setImmediate(resolve));
        open--;
        log.push(`took ${bytes.length > 0}`);
      },
    };
    const writer = await TraceWriter.open(slow, header, 8);
    let produced = 0;
    while (produced < 200) {
      await writer.write(small, 0, 20);
      produced += 20;
      // Never more than the chunk that is being filled is ahead of what the sink took.
      expect(produced - writer.written.events).toBeLessThan(8);
    }
    await writer.end();
    expect(writer.written.events).toBe(200);
    expect(log.filter((line) => line.endsWith('open'))).toEqual(Array(1 + 25 + 2).fill('1 open'));
  });
});
