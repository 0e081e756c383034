// SPDX-License-Identifier: GPL-2.0-only
import { rmSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import type { TraceSource } from './file-ends.ts';
import type { TraceHeader } from './header.ts';
import { type ReaderOptions, TraceReader } from './reader.ts';
import { TraceWriter } from './writer.ts';

interface FileOptions extends ReaderOptions {
  /** Hears all bytes that are read, in the order in which they are. */
  readonly onRead?: (bytes: Buffer) => void;
}

/** Calls `use` with a reader of the file, and closes it. UserError when there is no such file or it is no whole trace. */
export async function withTrace<T>(
  path: string,
  { onRead, ...options }: FileOptions,
  use: (reader: TraceReader) => Promise<T>,
): Promise<T> {
  const file = await opened(path, 'r');
  try {
    const { size } = await file.stat();
    const read: TraceSource['read'] = async (...what) => {
      const bytes = await readAt(file, ...what);
      onRead?.(bytes);
      return bytes;
    };
    const source: TraceSource = { name: path, size, read };
    return await use(await TraceReader.open(source, options));
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, offset: number, length: number, into?: Buffer): Promise<Buffer> {
  const buffer = into ?? Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** Writes a trace beside `path` and renames it when `produce` is done: the file is never there in part. */
export async function writeTrace(
  path: string,
  header: TraceHeader,
  produce: (writer: TraceWriter) => Promise<void>,
): Promise<TraceWriter['written']> {
  return await writeWhole(path, async (file) => {
    const writer = await TraceWriter.open({ write: (bytes) => writeAll(file, bytes) }, header);
    await produce(writer);
    await writer.end();
    return writer.written;
  });
}

/** The same for any file. */
export async function writeWhole<T>(path: string, produce: (file: FileHandle) => Promise<T>): Promise<T> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await opened(temporary, 'w', path);
  // Who interrupts the program finds no half of a file either.
  const interrupted = (signal: NodeJS.Signals): void => {
    rmSync(temporary, { force: true });
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.once(signal, interrupted);
  try {
    const result = await produce(file);
    await file.close();
    await rename(temporary, path);
    return result;
  } catch (error) {
    await file.close().catch(() => {});
    await rm(temporary, { force: true });
    throw systemError(error, path, 'be written');
  } finally {
    for (const signal of signals) process.off(signal, interrupted);
  }
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Writes everything, however little the system takes at a time. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

async function opened(path: string, flags: 'r' | 'w', name = path): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw systemError(error, name, flags === 'r' ? 'be read' : 'be written');
  }
}

/** An error of the system as one of the user; others as they are. */
export function systemError(error: unknown, place: string, what: string): unknown {
  if (!(error instanceof Error) || typeof (error as NodeJS.ErrnoException).syscall !== 'string') return error;
  const { code } = error as NodeJS.ErrnoException;
  const found = code === 'ENOENT' && what === 'be read' ? 'no such file' : `cannot ${what} (${code})`;
  return new UserError({ place, found, expected: what === 'be read' ? 'a trace file' : 'a file that may be written' });
}
