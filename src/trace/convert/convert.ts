// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { loadWorkload } from '../../workload/bundled.ts';
import { toJsonl } from '../../workload/jsonl.ts';
import type { Workload } from '../../workload/ops.ts';
import { printOps } from '../../workload/print.ts';
import { writeAll, writeTrace, writeWhole } from '../files.ts';
import type { TracePiece } from '../reader.ts';
import { eventLine, headerLine } from './events-jsonl.ts';
import { fromOps } from './from-ops.ts';
import { isEventsFile, type TraceInput, withEventsFile, withTraceFile } from './inputs.ts';
import { type Loss, lossLines, refuseLosses } from './losses.ts';
import { toOps } from './to-ops.ts';

export interface ConvertOptions {
  /** Leave out what the target cannot say. */
  readonly lossy: boolean;
  /** Take what is whole of a damaged .mmut file. */
  readonly salvage: boolean;
  /** Of a trace: number of the first event, and how many. */
  readonly from: number;
  readonly count: number;
  /** Hears how many events there are, where that is known before, and how many more are done. */
  readonly progress?: { start(events: number): void; advance(events: number): void };
}

const targets = ['ops', 'jsonl', 'mmut'] as const;
type Target = (typeof targets)[number];

/** Converts a workload or trace to the form that the output's name asks for. Returns what the user should know. */
export async function convertFile(input: string, output: string, options: ConvertOptions): Promise<string[]> {
  const target = targets.find((each) => output.endsWith(`.${each}`));
  if (target === undefined) {
    throw new UserError({
      place: output,
      found: 'a name that tells no form',
      expected: 'a name in .mmut, .ops or .jsonl',
    });
  }
  const notes: string[] = [];
  const use = (trace: TraceInput) => fromTrace(trace, output, { target, options, notes });
  if (input.endsWith('.mmut')) {
    const damaged = (message: string) => notes.push(message, 'only what is whole before it was taken');
    await withTraceFile(input, { salvage: options.salvage, damaged }, use);
  } else if (input.endsWith('.jsonl') && (await isEventsFile(input))) await withEventsFile(input, use);
  else await fromWorkload(loadWorkload(input), output, { target, options, notes });
  return notes;
}

interface Job {
  readonly target: Target;
  readonly options: ConvertOptions;
  readonly notes: string[];
}

async function fromTrace(trace: TraceInput, output: string, { target, options, notes }: Job): Promise<void> {
  const { from, count } = options;
  const isPart = from > 0 || Number.isFinite(count);
  const origin = isPart ? { ...trace.header.origin, from, count } : trace.header.origin;
  const header = { ...trace.header, origin };
  if (trace.events !== null) options.progress?.start(Math.min(count, Math.max(0, trace.events - from)));
  const told = trace.events === null ? undefined : options.progress;
  const pieces = numberedFrom(trace.pieces(from, from + count), from, told);
  if (target === 'ops') {
    const { workload, losses, notes: moved } = await toOps(header, pieces);
    settle(header.name, { losses, target: 'a workload', options, notes });
    notes.push(...moved);
    await writeText(output, [printOps(workload)]);
    return;
  }
  if (target === 'jsonl') {
    await writeText(output, eventTexts(header, pieces));
    return;
  }
  await writeTrace(output, header, async (writer) => {
    for await (const piece of pieces) await writer.write(piece.words, 0, piece.count);
  });
}

/** The numbers of the events as the output has them. */
async function* numberedFrom(
  pieces: AsyncGenerator<TracePiece>,
  from: number,
  progress: ConvertOptions['progress'],
): AsyncGenerator<TracePiece> {
  for await (const piece of pieces) {
    yield { ...piece, firstEvent: piece.firstEvent - from };
    progress?.advance(piece.count);
  }
}

async function* eventTexts(header: TraceInput['header'], pieces: AsyncIterable<TracePiece>): AsyncGenerator<string> {
  yield headerLine(header);
  const { phases } = header;
  for await (const { words, count, firstEvent } of pieces) {
    let text = '';
    for (let i = 0; i < count; i++) {
      text += eventLine(words[2 * i]!, words[2 * i + 1]!, { number: firstEvent + i, phases });
    }
    yield text;
  }
}

async function fromWorkload(workload: Workload, output: string, { target, options, notes }: Job): Promise<void> {
  if (target === 'ops') return await writeText(output, [printOps(workload)]);
  if (target === 'jsonl') return await writeText(output, [toJsonl(workload)]);
  const { header, losses, pieces } = fromOps(workload);
  settle(workload.name, { losses, target: 'a trace', options, notes });
  notes.push("the guest's own code is left out, as in every trace: fetches, stack, loop counters");
  await writeTrace(output, header, async (writer) => {
    for (const { words, count } of pieces()) await writer.write(words, 0, count);
  });
}

interface Settlement extends Omit<Job, 'target'> {
  readonly losses: readonly Loss[];
  readonly target: string;
}

/** Refuses losses, or makes them notes. */
function settle(name: string, { losses, target, options, notes }: Settlement): void {
  if (!options.lossy) refuseLosses(name, losses, target);
  notes.push(...lossLines(losses).map((line) => `left out: ${line}`));
}

async function writeText(path: string, texts: Iterable<string> | AsyncIterable<string>): Promise<void> {
  await writeWhole(path, async (file) => {
    for await (const text of texts) await writeAll(file, Buffer.from(text));
  });
}
