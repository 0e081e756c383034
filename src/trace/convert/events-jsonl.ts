// SPDX-License-Identifier: GPL-2.0-only
/** Traces as text: the header as a JSON object on the first line, then one object an event. It says everything. */
import { nearest, UserError } from '../../errors.ts';
import {
  CR3_NOFLUSH,
  CR3_PCID,
  cr3Word,
  EDIT_FLAG,
  type EditFlag,
  EVENT,
  editFlags,
  editWord,
  eventNames,
  isAboutPage,
  KIND_SHIFT,
  PAGE_HIGH,
  pageOf,
  pageWord,
} from '../events.ts';
import { flagLetters } from '../guest-tables.ts';
import { HEADER_FORMAT, headerJson, parseHeader, type TraceHeader } from '../header.ts';
import { formatU64, parsePage } from '../numbers.ts';

type EventObject = Readonly<Record<string, unknown>>;

/** The first line. */
export const headerLine = (header: TraceHeader): string => `${JSON.stringify(headerJson(header))}\n`;

/** The line of an event. UserError when its words mean nothing. */
export function eventLine(
  lo: number,
  hi: number,
  { number, phases }: { number: number; phases: readonly string[] },
): string {
  const object = eventObject(lo, hi, phases);
  if (object !== null) return `${JSON.stringify(object)}\n`;
  const words = `words 0x${(lo >>> 0).toString(16)} 0x${(hi >>> 0).toString(16)}`;
  throw new UserError({ place: `event ${number}`, found: words, expected: 'an event of docs/traces.md' });
}

function eventObject(lo: number, hi: number, phases: readonly string[]): EventObject | null {
  const kind = hi >>> KIND_SHIFT;
  const event = eventNames[kind];
  const rest = hi & 0xffffff;
  if (event === undefined) return null;
  if (isAboutPage(kind)) {
    const object = { event, gva: formatU64(pageOf(lo, hi)) };
    if ((rest & ~PAGE_HIGH) === 0) return object;
    const flags = editFlags(hi);
    const isWhole = kind === EVENT.EDIT && flags >= 0 && editWord(pageOf(lo, hi), flags) === hi;
    return isWhole ? { ...object, flags: flagLetters(flags) } : null;
  }
  if (kind === EVENT.CR3) {
    if ((rest & ~(CR3_PCID | CR3_NOFLUSH)) !== 0) return null;
    const low = rest & CR3_PCID;
    return { event, space: lo >>> 0, ...(low === 0 ? {} : { low }), ...(rest & CR3_NOFLUSH ? { noflush: true } : {}) };
  }
  if (rest !== 0) return null;
  if (kind === EVENT.PHASE) return phases[lo] === undefined ? null : { event, name: phases[lo] };
  return { event, value: registerKinds.has(kind) ? `0x${(lo >>> 0).toString(16)}` : lo >>> 0 };
}

const registerKinds: ReadonlySet<number> = new Set([EVENT.CR0, EVENT.CR4, EVENT.EFER]);

/** Whether a JSON object is the first line of such a file. */
export const isTraceHeader = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && 'format' in json && json.format === HEADER_FORMAT;

/** Reads lines of a file: the first gives the header, each other one an event. Errors name `file` and the line. */
export class EventLines {
  readonly header: TraceHeader;
  readonly #file: string;
  readonly #phases: ReadonlyMap<string, number>;
  #line = 1;

  constructor(file: string, first: string) {
    this.#file = file;
    this.header = parseHeader(this.#json(first), `${file}:1`);
    this.#phases = new Map(this.header.phases.map((name, i) => [name, i]));
  }

  /** Both words of the event on the next line, null for an empty line. */
  next(text: string): readonly [lo: number, hi: number] | null {
    this.#line++;
    if (text.trim() === '') return null;
    const json = this.#json(text);
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return this.#fail(text, 'a JSON object');
    const object: EventObject = { ...json };
    const { event } = object;
    const kind = eventNames.indexOf(String(event));
    if (kind < 0) {
      const near = nearest(String(event), eventNames);
      return this.#fail(`event ${JSON.stringify(event)}`, eventNames.join(' '), near);
    }
    if (isAboutPage(kind)) return this.#page(kind, object);
    this.#only(object, kind === EVENT.CR3 ? ['space', 'low', 'noflush'] : [kind === EVENT.PHASE ? 'name' : 'value']);
    if (kind === EVENT.CR3) {
      const space = this.#number(object, 'space', this.header.guest.spaces.length - 1);
      const low = object.low === undefined ? 0 : this.#number(object, 'low', CR3_PCID);
      return [space, cr3Word(low, object.noflush === true)];
    }
    if (kind !== EVENT.PHASE) return [this.#number(object, 'value', 0xffffffff) | 0, kind << KIND_SHIFT];
    const phase = this.#phases.get(String(object.name));
    if (phase === undefined) return this.#fail(`phase ${JSON.stringify(object.name)}`, 'a phase that the header names');
    return [phase, kind << KIND_SHIFT];
  }

  #page(kind: number, object: EventObject): readonly [number, number] {
    const hasFlags = kind === EVENT.EDIT && object.flags !== undefined;
    this.#only(object, hasFlags ? ['gva', 'flags'] : ['gva']);
    const page = /^0x[0-9a-f]{1,16}$/.test(String(object.gva)) ? parsePage(String(object.gva)) : -1;
    if (page < 0) return this.#fail(`gva ${JSON.stringify(object.gva)}`, 'the address of a page, "0x…000"');
    if (!hasFlags) return [page | 0, pageWord(kind, page)];
    const flags = String(object.flags);
    if (!/^[pwunagd]*$/.test(flags))
      return this.#fail(`flags ${JSON.stringify(object.flags)}`, 'letters of p w u n a g d');
    const bits = [...flags].reduce((sum, letter) => sum | EDIT_FLAG[letter as EditFlag], 0);
    return [page | 0, editWord(page, bits)];
  }

  #number(object: EventObject, key: string, most: number): number {
    const value = object[key];
    const number = typeof value === 'string' && /^0x[0-9a-f]{1,8}$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= most) return number;
    return this.#fail(`${key} ${JSON.stringify(value)}`, `a whole number from 0 to ${most}`);
  }

  #only(object: EventObject, keys: readonly string[]): void {
    const stranger = Object.keys(object).find((key) => key !== 'event' && !keys.includes(key));
    if (stranger !== undefined) this.#fail(`key "${stranger}"`, `event ${keys.join(' ')}`);
  }

  #json(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      return this.#fail((error as Error).message, 'a JSON object');
    }
  }

  #fail(found: string, expected: string, suggestion?: string): never {
    throw new UserError({
      place: `${this.#file}:${this.#line}`,
      found,
      expected,
      ...(suggestion ? { suggestion } : {}),
    });
  }
}
