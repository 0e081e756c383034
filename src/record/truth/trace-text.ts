// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';

/** One event of a trace. */
export interface TraceEvent {
  readonly name: string;
  /** What the event prints. */
  readonly text: string;
  /** `name=value` pairs of a probe, values as printed. */
  values(): ReadonlyMap<string, string>;
}

/** `  monitor-288   [000] d..1.   6.812572: svm_vcpu_run: (svm_vcpu_run+0x0/0x720 [kvm_amd]) vcpu=0xffff88800e5554f0 …` */
const eventLine = /^\s*\S.*-\d+\s+\[\d+\]\s+\S+\s+[\d.]+: (\w+): ?(.*)$/;
const pair = /(\w+)=(0x[0-9a-fA-F]+|-?\d+)/g;
const written = /^# entries-in-buffer\/entries-written: (\d+)\/(\d+)/;

/**
 * The events of a trace in ftrace's text form, in order. UserError when the trace is none, or its buffer was too small for the
 * run: counts would be too low. `place` is for messages.
 */
export function* traceEvents(text: string, place: string): Generator<TraceEvent> {
  let isTrace = false;
  for (const line of lines(text)) {
    if (line.startsWith('#')) {
      isTrace ||= line.startsWith('# tracer:');
      const [, kept, all] = written.exec(line) ?? [];
      if (kept !== all) throw tooSmall(place, kept!, all!);
      continue;
    }
    const match = eventLine.exec(line);
    if (match) yield { name: match[1]!, text: match[2]!, values: () => valuesOf(match[2]!) };
  }
  if (isTrace) return;
  throw new UserError({ place, found: 'no "# tracer:" line', expected: 'the text of a tracefs trace file' });
}

function* lines(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    yield text.slice(start, end);
    start = end + 1;
  }
}

const valuesOf = (text: string): Map<string, string> =>
  new Map([...text.matchAll(pair)].map(([, name, value]) => [name!, value!]));

const tooSmall = (place: string, kept: string, all: string): UserError =>
  new UserError({
    place,
    found: `${kept} of ${all} events were kept`,
    expected: 'a trace buffer that holds the whole run',
    suggestion: 'fewer repetitions in the workload',
  });

/** A number as traces print it: `0x`, lower case, no leading zeros. 64 bits. */
export const hexOf = (value: string): string => `0x${BigInt(value).toString(16)}`;
