// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { type PortReference, parseReference } from './port-source.ts';

/** A place in the kernel: file from the top of the tree, and a function, struct or union in it. */
export interface KernelReference {
  readonly path: string;
  readonly name: string;
}

/** A replay that makes a stop visible. */
export interface StopReplay {
  readonly workload: string;
  /** `shadow`, `npt-legacy` …: how `replayMode` reads it. */
  readonly mode: string;
  /** Counters, or `tables` and `guest walk` for the role words in force. */
  readonly figures: readonly string[];
  /** Era ids; empty means the era before and the story's own. */
  readonly eras: readonly string[];
}

/** One stop of a guided reading. */
export interface Stop {
  readonly title: string;
  /** Markdown, two or three sentences. */
  readonly text: string;
  readonly ports: readonly PortReference[];
  readonly upstream: readonly KernelReference[];
  /** The commit whose diff is meant: leading digits or whole, or `own` for that of the era; null for none. */
  readonly commit: string | null;
  readonly replay: StopReplay | null;
  /** Why no replay shows it; null when one does. */
  readonly unseen: string | null;
}

/** A story: Markdown before and after its stops. Headings are of level 2. */
export interface Story {
  /** The era it is written for. */
  readonly era: string;
  readonly title: string;
  readonly opening: string;
  readonly stops: readonly Stop[];
  readonly closing: string;
}

const stopHeading = '## Stop: ';
const block = /^```stop\n([\s\S]*?)^```$/m;

/** Reads the text of commits/stories/ERA.md. Throws UserError with the stop and the line that is wrong. */
export function parseStory(era: string, text: string): Story {
  const [head = '', ...sections] = text.split(/^(?=## )/m);
  const title = /^# (.+)$/m.exec(head)?.[1];
  if (title === undefined) throw mistake(era, 'no title', 'a first line "# Title"');
  const first = sections.findIndex((section) => section.startsWith(stopHeading));
  const last = sections.findLastIndex((section) => section.startsWith(stopHeading));
  if (first < 0) throw mistake(era, 'no stop', `sections "${stopHeading}Title"`);
  const stops = sections.slice(first, last + 1).map((section) => {
    if (section.startsWith(stopHeading)) return parseStop(era, section);
    throw mistake(era, `"${section.split('\n')[0]}" between two stops`, 'stops one after the other');
  });
  return {
    era,
    title,
    opening: [head.replace(/^# .+$/m, ''), ...sections.slice(0, first)].join('').trim(),
    stops,
    closing: sections
      .slice(last + 1)
      .join('')
      .trim(),
  };
}

/** A story as plain Markdown, its stops as sections: for readers who want the text alone. */
export function storyMarkdown({ title, opening, stops, closing }: Story): string {
  const sections = stops.map((stop) => `## ${stop.title}\n\n${stop.text}`);
  return `${[`# ${title}`, opening, ...sections, closing].filter((part) => part !== '').join('\n\n')}\n`;
}

function parseStop(era: string, section: string): Stop {
  const title = section.slice(stopHeading.length, section.indexOf('\n')).trim();
  const place = `${era}, stop "${title}"`;
  const found = block.exec(section);
  if (!found) throw mistake(place, 'no block of references', 'a block that opens with ```stop');
  const text = section.slice(section.indexOf('\n'), found.index).trim();
  const rest = section.slice(found.index + found[0].length).trim();
  if (text === '' || rest !== '')
    throw mistake(place, rest === '' ? 'no text' : `text after the block`, 'text, then the block');
  return { title, text, ...parseBlock(place, found[1]!) };
}

function parseBlock(place: string, lines: string): Omit<Stop, 'title' | 'text'> {
  const ports: PortReference[] = [];
  const upstream: KernelReference[] = [];
  const values = new Map<string, string>();
  for (const line of lines.split('\n').filter((one) => one !== '')) {
    const [, key = '', value = ''] = /^(\w+): (.+)$/.exec(line) ?? [];
    if (key === 'port') ports.push(required(parseReference(value), place, line, 'port: snapshots/FOLDER/FILE.ts#NAME'));
    else if (key === 'upstream') upstream.push(required(kernelReference(value), place, line, 'upstream: PATH#NAME'));
    else if (['commit', 'replay', 'eras', 'unseen'].includes(key) && !values.has(key)) values.set(key, value);
    else
      throw mistake(
        place,
        `"${line}"`,
        'port:, upstream:, commit:, replay:, eras: or unseen:, each of the last four once',
      );
  }
  if (ports.length === 0) throw mistake(place, 'no port: line', 'one or more');
  const named = values.get('commit') ?? 'own';
  if (!/^([0-9a-f]{12,40}|own|none)$/.test(named)) {
    throw mistake(place, `commit: ${named}`, '12 to 40 hex digits, or none');
  }
  if (values.has('replay') === values.has('unseen')) {
    throw mistake(
      place,
      values.has('replay') ? 'replay: and unseen:' : 'neither replay: nor unseen:',
      'one of the two',
    );
  }
  const commit = named === 'none' ? null : named;
  return { ports, upstream, commit, replay: parseReplay(place, values), unseen: values.get('unseen') ?? null };
}

function parseReplay(place: string, values: ReadonlyMap<string, string>): StopReplay | null {
  const value = values.get('replay');
  const eras = values.get('eras')?.split(', ') ?? [];
  if (value === undefined) {
    if (eras.length > 0) throw mistake(place, 'eras: without replay:', 'both, or none');
    return null;
  }
  const [, workload, mode, figures] = /^(\S+) (\S+): (.+)$/.exec(value) ?? [];
  if (!workload) throw mistake(place, `"replay: ${value}"`, 'replay: WORKLOAD MODE: FIGURE, FIGURE');
  return { workload, mode: mode!, figures: figures!.split(', '), eras };
}

function kernelReference(text: string): KernelReference | undefined {
  const [, path, name] = /^((?:arch|virt|include)\/[\w./-]+\.[ch])#(\w+)$/.exec(text) ?? [];
  return path === undefined ? undefined : { path, name: name! };
}

function required<T>(value: T | undefined, place: string, line: string, expected: string): T {
  if (value !== undefined) return value;
  throw mistake(place, `"${line}"`, expected);
}

const mistake = (place: string, found: string, expected: string): UserError =>
  new UserError({ place: `commits/stories: ${place}`, found, expected });
