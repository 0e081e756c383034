// SPDX-License-Identifier: GPL-2.0-only
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { UserError } from '../errors.ts';
import { withTrace } from '../trace/files.ts';
import { generatedTrace } from '../trace/names.ts';
import type { TraceReader } from '../trace/reader.ts';
import { inFile, replayTrace, type TraceToReplay } from '../trace/replay-file.ts';
import { changedWorkload } from './mistakes.ts';
import { contentHash, digestOf } from './versions.ts';
import type { CellWorkload } from './workload.ts';

/** A trace for cells. A file without an `expected` hash is read to its end. UserError when it is not whole. */
export async function openTrace(source: string, expected?: string): Promise<CellWorkload> {
  const generated = generatedTrace(source);
  if (generated !== null) {
    return {
      // Of name and all options. The code that makes events of them is a part of the machine.
      hash: contentHash(JSON.stringify(generated.header)),
      async replay(era, options, signal) {
        const [result] = await replayTrace(pausing(generated, signal), [era], options);
        return result!;
      },
    };
  }
  const hash = expected ?? (await readHashed(source, drain)).hash;
  return {
    hash,
    async replay(era, options, signal) {
      const read = await readHashed(source, (reader) => replayTrace(pausing(reader, signal), [era], options));
      if (read.hash !== hash) throw changedWorkload(source);
      return read.result[0]!;
    },
  };
}

/** Whether the file is whole, which its reader says. */
async function drain(reader: TraceReader): Promise<void> {
  for await (const _ of reader.pieces());
}

/** Hash of all bytes of a trace, and what came of reading it once from beginning to end. */
async function readHashed<T>(
  path: string,
  read: (reader: TraceReader) => Promise<T>,
): Promise<{ hash: string; result: T }> {
  const hash = createHash('sha256');
  try {
    const result = await withTrace(path, { onRead: (bytes) => hash.update(bytes) }, read);
    return { hash: digestOf(hash), result };
  } catch (error) {
    throw inFile(repairable(error), path);
  }
}

/** A sweep takes no part of a trace for the whole; the part can be made a file of its own. */
function repairable(error: unknown): unknown {
  if (!(error instanceof UserError) || error.mistake.suggestion?.startsWith('--salvage') !== true) return error;
  return new UserError({
    ...error.mistake,
    suggestion: 'mmu-eras convert --salvage, which makes a file of the chunks before it',
  });
}

/** The same trace; between two pieces the process hears signals, and an aborted one ends it. */
function pausing(trace: TraceToReplay, signal: AbortSignal | undefined): TraceToReplay {
  return {
    header: trace.header,
    events: trace.events,
    damage: null,
    async *pieces() {
      for await (const piece of trace.pieces()) {
        await setImmediate(undefined, signal ? { signal } : {});
        yield piece;
      }
    },
  };
}
