// SPDX-License-Identifier: GPL-2.0-only
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { systemError, withTrace } from '../files.ts';
import type { TraceHeader } from '../header.ts';
import type { TracePiece } from '../reader.ts';
import { EventLines, isTraceHeader } from './events-jsonl.ts';

/** A trace, whatever it was read from. */
export interface TraceInput {
  readonly header: TraceHeader;
  /** How many; null when only reading them tells. */
  readonly events: number | null;
  pieces(from: number, to: number): AsyncGenerator<TracePiece>;
}

/** Whether a JSONL file is one of events; else it is one of ops (docs/ops.md), or nothing. */
export async function isEventsFile(path: string): Promise<boolean> {
  for await (const line of linesOf(path)) {
    try {
      return isTraceHeader(JSON.parse(line));
    } catch {
      return false;
    }
  }
  return false;
}

/** Calls `use` with the trace in a file of events as JSONL. */
export async function withEventsFile<T>(path: string, use: (input: TraceInput) => Promise<T>): Promise<T> {
  const lines = linesOf(path);
  const first = await lines.next();
  const reader = new EventLines(path, first.done ? '' : first.value);
  return await use({
    header: reader.header,
    events: null,
    pieces: (from, to) => piecesOf(lines, reader, { from, to }),
  });
}

/** Calls `use` with the trace in a .mmut file; `damaged` hears what a salvaged file has lost. */
export async function withTraceFile<T>(
  path: string,
  { salvage, damaged }: { salvage: boolean; damaged: (message: string) => void },
  use: (input: TraceInput) => Promise<T>,
): Promise<T> {
  return await withTrace(path, { salvage }, async (reader) => {
    const { header, events } = reader;
    const result = await use({ header, events, pieces: (from, to) => reader.pieces(from, to) });
    if (reader.damage !== null) damaged(reader.damage.message);
    return result;
  });
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const stream = createReadStream(path);
  try {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) yield line;
  } catch (error) {
    throw systemError(error, path, 'be read');
  } finally {
    stream.destroy();
  }
}

const PIECE = 16384;

async function* piecesOf(
  lines: AsyncGenerator<string>,
  reader: EventLines,
  { from, to }: { from: number; to: number },
): AsyncGenerator<TracePiece> {
  const words = new Int32Array(2 * PIECE);
  let number = 0;
  let count = 0;
  for await (const line of lines) {
    const event = reader.next(line);
    if (event === null || number++ < from) continue;
    if (number > to) break;
    words.set(event, 2 * count);
    count++;
    if (count < PIECE) continue;
    yield { words, count, firstEvent: number - count };
    count = 0;
  }
  if (count > 0) yield { words: words.subarray(0, 2 * count), count, firstEvent: Math.min(number, to) - count };
}
