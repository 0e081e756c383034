// SPDX-License-Identifier: GPL-2.0-only
/**
 * The bytes of a trace file. All numbers are little-endian.
 *
 *     prologue  "MMUT"  version:u16  0:u16  header length:u32  crc:u32          crc of the header and what stands before it
 *     header    JSON in UTF-8 (header.ts)
 *     chunk     "CHNK"  number:u32  events:u32  plain length:u32  packed length:u32  crc:u32      then the packed events
 *     …                                                            crc of the packed events and what stands before it
 *     index     "INDX"  chunks:u32  crc:u32   then for each chunk  offset:u64  first event:u64
 *     trailer   offset of the index:u64  events:u64  crc:u32  "MMUE"
 *
 * Every byte is under a checksum or compared, so that no single flipped bit passes.
 */
import { crc32 } from './crc32.ts';

export const VERSION = 1;
export const PROLOGUE_BYTES = 16;
export const CHUNK_HEAD_BYTES = 24;
export const INDEX_HEAD_BYTES = 12;
export const INDEX_ENTRY_BYTES = 16;
export const TRAILER_BYTES = 24;

/** Events of a chunk, but the last. 512 KiB in memory. */
export const CHUNK_EVENTS = 65536;
/** Most events that a reader takes in a chunk, and most bytes of a header: a file cannot make it ask for all memory. */
export const MOST_CHUNK_EVENTS = 2 ** 20;
export const MOST_HEADER_BYTES = 64 * 2 ** 20;

const MAGIC = { file: 'MMUT', chunk: 'CHNK', index: 'INDX', end: 'MMUE' } as const;

export interface ChunkHead {
  readonly number: number;
  readonly events: number;
  readonly plainBytes: number;
  readonly packedBytes: number;
  readonly crc: number;
}

export interface IndexEntry {
  readonly offset: number;
  readonly firstEvent: number;
}

export interface Trailer {
  readonly indexOffset: number;
  readonly events: number;
}

/** Bytes of a part, and a view to write numbers into it. */
function part(bytes: number, magic: string, magicAt = 0): { buffer: Buffer; put: (at: number, value: number) => void } {
  const buffer = Buffer.alloc(bytes);
  buffer.write(magic, magicAt, 'latin1');
  return { buffer, put: (at, value) => buffer.writeUInt32LE(value, at) };
}

const hasMagic = (bytes: Buffer, magic: string, at = 0): boolean => bytes.toString('latin1', at, at + 4) === magic;

/** Prologue and header. */
export function headBytes(json: string): Buffer {
  const header = Buffer.from(json, 'utf8');
  const { buffer, put } = part(PROLOGUE_BYTES, MAGIC.file);
  buffer.writeUInt16LE(VERSION, 4);
  put(8, header.length);
  put(12, crc32(buffer.subarray(0, 12), header));
  return Buffer.concat([buffer, header]);
}

/** What a prologue says, null when the file is no trace at all. */
export function readPrologue(bytes: Buffer): { version: number; headerBytes: number; crc: number } | null {
  if (bytes.length < PROLOGUE_BYTES || !hasMagic(bytes, MAGIC.file)) return null;
  return { version: bytes.readUInt16LE(4), headerBytes: bytes.readUInt32LE(8), crc: bytes.readUInt32LE(12) };
}

export const headCrc = (prologue: Buffer, header: Buffer): number => crc32(prologue.subarray(0, 12), header);

export function chunkHead(
  { number, events, plainBytes }: Omit<ChunkHead, 'crc' | 'packedBytes'>,
  packed: Buffer,
): Buffer {
  const { buffer, put } = part(CHUNK_HEAD_BYTES, MAGIC.chunk);
  put(4, number);
  put(8, events);
  put(12, plainBytes);
  put(16, packed.length);
  put(20, chunkCrc(buffer, packed));
  return buffer;
}

/** Null when another part begins here, or none. */
export function readChunkHead(bytes: Buffer): ChunkHead | null {
  if (!hasMagic(bytes, MAGIC.chunk)) return null;
  const [number, events, plainBytes, packedBytes, crc] = [4, 8, 12, 16, 20].map((at) => bytes.readUInt32LE(at));
  return { number: number!, events: events!, plainBytes: plainBytes!, packedBytes: packedBytes!, crc: crc! };
}

export const chunkCrc = (head: Buffer, packed: Buffer): number => crc32(head.subarray(0, 20), packed);

export function indexBytes(entries: readonly IndexEntry[]): Buffer {
  const { buffer, put } = part(INDEX_HEAD_BYTES + INDEX_ENTRY_BYTES * entries.length, MAGIC.index);
  put(4, entries.length);
  entries.forEach(({ offset, firstEvent }, i) => {
    const at = INDEX_HEAD_BYTES + INDEX_ENTRY_BYTES * i;
    buffer.writeBigUInt64LE(BigInt(offset), at);
    buffer.writeBigUInt64LE(BigInt(firstEvent), at + 8);
  });
  put(8, indexCrc(buffer));
  return buffer;
}

export const isIndex = (bytes: Buffer): boolean => hasMagic(bytes, MAGIC.index);

const indexCrc = (bytes: Buffer): number => crc32(bytes.subarray(0, 8), bytes.subarray(INDEX_HEAD_BYTES));

/** Null when the bytes are no index, or not as they were written. */
export function readIndex(bytes: Buffer): IndexEntry[] | null {
  if (bytes.length < INDEX_HEAD_BYTES || !hasMagic(bytes, MAGIC.index)) return null;
  const count = bytes.readUInt32LE(4);
  if (bytes.length !== INDEX_HEAD_BYTES + INDEX_ENTRY_BYTES * count || bytes.readUInt32LE(8) !== indexCrc(bytes)) {
    return null;
  }
  return Array.from({ length: count }, (_, i) => {
    const at = INDEX_HEAD_BYTES + INDEX_ENTRY_BYTES * i;
    return { offset: Number(bytes.readBigUInt64LE(at)), firstEvent: Number(bytes.readBigUInt64LE(at + 8)) };
  });
}

export function trailerBytes({ indexOffset, events }: Trailer): Buffer {
  const { buffer, put } = part(TRAILER_BYTES, MAGIC.end, 20);
  buffer.writeBigUInt64LE(BigInt(indexOffset), 0);
  buffer.writeBigUInt64LE(BigInt(events), 8);
  put(16, crc32(buffer.subarray(0, 16)));
  return buffer;
}

/** Null when the bytes are no trailer. */
export function readTrailer(bytes: Buffer): Trailer | null {
  if (bytes.length !== TRAILER_BYTES || !hasMagic(bytes, MAGIC.end, 20)) return null;
  if (bytes.readUInt32LE(16) !== crc32(bytes.subarray(0, 16))) return null;
  return { indexOffset: Number(bytes.readBigUInt64LE(0)), events: Number(bytes.readBigUInt64LE(8)) };
}
