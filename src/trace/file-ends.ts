// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import {
  headCrc,
  type IndexEntry,
  MOST_HEADER_BYTES,
  PROLOGUE_BYTES,
  readIndex,
  readPrologue,
  readTrailer,
  TRAILER_BYTES,
  VERSION,
} from './file-format.ts';
import { parseHeader, type TraceHeader } from './header.ts';

/** A file by offsets. */
export interface TraceSource {
  /** As errors name it. */
  readonly name: string;
  readonly size: number;
  /** The bytes from `offset` on: `length` of them, or fewer at the end. They may stand in `into`, which is long enough. */
  read(offset: number, length: number, into?: Buffer): Promise<Buffer>;
}

/** What stands before the chunks, and the offset of the first. */
export interface Head {
  readonly header: TraceHeader;
  readonly first: number;
}

/** What stands behind the chunks. */
export interface Tail {
  readonly events: number;
  readonly indexOffset: number;
  readonly index: readonly IndexEntry[];
}

/** A checksum as errors show it. */
export const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;

/** UserError when the file is no trace, of another version, or its header is damaged. */
export async function readHead(source: TraceSource): Promise<Head> {
  const bytes = await source.read(0, PROLOGUE_BYTES);
  const place = source.name;
  const prologue = readPrologue(bytes);
  if (prologue === null) {
    throw new UserError({
      place,
      found: 'no trace file',
      expected: 'a file that begins with MMUT, as "gen" writes it',
    });
  }
  const { version, headerBytes, crc } = prologue;
  if (version !== VERSION) {
    const suggestion = version > VERSION ? 'a newer mmu-eras' : 'the file again from its source';
    throw new UserError({ place, found: `trace format ${version}`, expected: `format ${VERSION}`, suggestion });
  }
  if (headerBytes > MOST_HEADER_BYTES || PROLOGUE_BYTES + headerBytes > source.size) {
    throw new UserError({
      place,
      found: `a header of ${headerBytes} bytes in a file of ${source.size}`,
      expected: 'a whole header',
    });
  }
  const json = await source.read(PROLOGUE_BYTES, headerBytes);
  if (headCrc(bytes, json) !== crc) {
    throw new UserError({
      place: `${place}: header`,
      found: `checksum ${hex(headCrc(bytes, json))}`,
      expected: `${hex(crc)}, as written`,
    });
  }
  return { header: parseHeader(parseJson(json, place), place), first: PROLOGUE_BYTES + headerBytes };
}

function parseJson(bytes: Buffer, place: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new UserError({ place: `${place}: header`, found: (error as Error).message, expected: 'JSON' });
  }
}

/** UserError when index or trailer are not there or not whole. */
export async function readTail(source: TraceSource, first: number): Promise<Tail> {
  const { size, name } = source;
  const trailer = readTrailer(await source.read(Math.max(size - TRAILER_BYTES, 0), TRAILER_BYTES));
  if (trailer === null)
    throw new UserError({ place: `${name}: end`, found: 'no trailer', expected: 'a file that was written to its end' });
  const { indexOffset, events } = trailer;
  const index =
    indexOffset < first || indexOffset > size - TRAILER_BYTES
      ? null
      : readIndex(await source.read(indexOffset, size - TRAILER_BYTES - indexOffset));
  if (index === null)
    throw new UserError({
      place: `${name}: index`,
      found: 'an index that is not as written',
      expected: 'offsets of all chunks',
    });
  return { events, indexOffset, index };
}
