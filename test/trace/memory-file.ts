// SPDX-License-Identifier: GPL-2.0-only
import type { TraceSource } from '../../src/trace/file-ends.ts';
import { uniformGuest } from '../../src/trace/guest.ts';
import type { TraceHeader } from '../../src/trace/header.ts';
import { type ReaderOptions, TraceReader } from '../../src/trace/reader.ts';
import { TraceWriter } from '../../src/trace/writer.ts';

export const header: TraceHeader = {
  name: 'small',
  guest: uniformGuest({ spaces: 2, pages: 64, size: '4k', firstPage: 0x7f0000000, readOnlyOneIn: 16 }),
  phases: ['first', 'second'],
  origin: { generator: 'test', seed: 1 },
};

/** The bytes of a file with these events, in chunks of `chunkEvents`. */
export async function fileOf(trace: Int32Array, chunkEvents = 8, head = header): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const writer = await TraceWriter.open({ write: async (bytes) => void parts.push(bytes) }, head, chunkEvents);
  await writer.write(trace, 0, trace.length / 2);
  await writer.end();
  return Buffer.concat(parts);
}

export const sourceOf = (bytes: Buffer): TraceSource => ({
  name: 'small.mmut',
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
});

/** Events and damage of a file; rejects as the reader does. */
export async function readAll(
  bytes: Buffer,
  options: ReaderOptions & { from?: number; to?: number } = {},
): Promise<{ words: number[]; damage: string | null; reader: TraceReader }> {
  const reader = await TraceReader.open(sourceOf(bytes), options);
  const words: number[] = [];
  for await (const piece of reader.pieces(options.from, options.to)) {
    if (piece.firstEvent !== (options.from ?? 0) + words.length / 2) throw new Error('a piece out of order');
    words.push(...piece.words);
  }
  return { words, damage: reader.damage?.message ?? null, reader };
}
