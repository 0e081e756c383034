// SPDX-License-Identifier: GPL-2.0-only
import { nearest } from '../errors.ts';
import type { FieldType } from './fields.ts';
import { format, type JsonObject } from './jsonl.ts';
import { checkLine } from './lines.ts';
import { lower } from './lower.ts';
import { errorAt, OpMistake, type Slip } from './mistakes.ts';
import { closers, type Op, type OpName, type Workload } from './ops.ts';
import { workloadName } from './parse.ts';
import { readLines } from './read.ts';
import { type Field, syntax } from './syntax.ts';

/** Reads a `.jsonl` workload file; see `fromJsonl`. */
export const readJsonlFile = (path: string, fileName = path): Workload =>
  linesFromJsonl(readLines(path, fileName), fileName);

/**
 * The workload of a JSONL text. Blank lines are passed over; an object without `line` gets the line it stands on.
 * Throws a UserError with line and column of the key at fault.
 */
export const fromJsonl = (text: string, fileName: string): Workload => linesFromJsonl(text.split('\n'), fileName);

function linesFromJsonl(lines: readonly string[], file: string): Workload {
  return new Reader(lines, file).read();
}

interface Open {
  readonly head: Op;
  readonly body: Op[];
  readonly at: number;
}

class Reader {
  readonly #lines: readonly string[];
  readonly #file: string;
  readonly #top: Op[] = [];
  readonly #open: Open[] = [];
  /** JSONL lines of an op and of its closing word. */
  readonly #places = new Map<Op, { readonly open: number; readonly close: number }>();
  #line = 0;

  constructor(lines: readonly string[], file: string) {
    this.#lines = lines;
    this.#file = file;
  }

  read(): Workload {
    let header: { name: string; title?: string } | undefined;
    for (const [index, text] of this.#lines.entries()) {
      this.#line = index + 1;
      checkLine(this.#file, this.#line, text);
      if (text.trim() === '') continue;
      const object = this.#object(text);
      if (header) this.#op(object);
      else header = this.#header(object);
    }
    if (!header) {
      this.#line = 1;
      this.#fail(undefined, { found: 'an empty file', expected: `${JSON.stringify(format)} on the first line` });
    }
    const open = this.#open.at(-1);
    if (open) {
      this.#line = open.at;
      const expected = `{"op":"${closerOf(open.head)}"} after it`;
      this.#fail('op', { found: `the file ends inside this "${open.head.op}"`, expected });
    }
    const workload: Workload = { ...header, ops: this.#top };
    try {
      lower(workload);
    } catch (error) {
      if (!(error instanceof OpMistake)) throw error;
      const place = this.#placeOf(error.op);
      this.#line = error.field === 'close' ? place.close : place.open;
      this.#fail(error.field === 'close' ? 'op' : error.field, error.slip);
    }
    return workload;
  }

  #object(text: string): JsonObject {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.#fail(undefined, { found: 'no JSON', expected: 'one JSON object a line' });
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
    this.#fail(undefined, { found: 'JSON that is no object', expected: 'one JSON object a line' });
  }

  #header(object: JsonObject): { name: string; title?: string } {
    const { name = workloadName(this.#file), title } = object;
    if (object.format !== format.format) {
      this.#fail('format', { found: 'no workload format', expected: `${JSON.stringify(format)} on the first line` });
    }
    if (object.version !== format.version) {
      this.#fail('version', {
        found: `version ${shown(object.version)}`,
        expected: `version ${format.version}`,
      });
    }
    if (typeof name !== 'string') this.#fail('name', { found: 'a name that is no string', expected: 'a string' });
    if (title === undefined) return { name };
    if (typeof title === 'string' && title === title.trim() && /^[^\n\r\0]+$/.test(title)) return { name, title };
    this.#fail('title', { found: 'a title that is no line of text', expected: 'a string without line ends' });
  }

  #op(object: JsonObject): void {
    const { op: name, line = this.#line } = object;
    if (typeof line !== 'number' || !Number.isInteger(line) || line < 1) {
      this.#fail('line', { found: `line ${shown(line)}`, expected: 'a line number from 1 on' });
    }
    const names = [...Object.keys(syntax), ...Object.values(closers)];
    if (typeof name !== 'string' || !names.includes(name)) {
      const found = name === undefined ? 'no "op"' : `unknown op ${shown(name)}`;
      const suggestion = typeof name === 'string' ? nearest(name, names) : undefined;
      this.#fail('op', { found, expected: 'an op of docs/ops.md', suggestion });
    }
    if (Object.hasOwn(syntax, name)) this.#take(name as OpName, object, line);
    else this.#close(name, line);
  }

  #take(name: OpName, object: JsonObject, line: number): void {
    const { fields, rest, options = [], form } = syntax[name];
    const op: Record<string, unknown> = { op: name, line };
    for (const [key, value] of Object.entries(object)) {
      if (key === 'op' || key === 'line') continue;
      const field = [...fields, ...options].find((each) => each.field === key);
      if (field) op[key] = this.#value(key, value, field.type);
      else if (key === rest?.field) op[key] = this.#list(key, value, rest);
      else {
        const keys = [...fields, ...options, ...(rest ? [rest] : [])].map((each) => each.field);
        const expected = keys.length === 0 ? 'no other keys' : `keys ${keys.join(' ')} (${form})`;
        this.#fail(key, { found: `unknown key "${key}"`, expected, suggestion: nearest(key, keys) });
      }
    }
    const needed = [
      ...fields.filter((each) => !each.optional),
      ...options.filter((each) => each.required),
      ...(rest ? [rest] : []),
    ];
    const missing = needed.find((each) => op[each.field] === undefined);
    if (missing) this.#fail('op', { found: `"${name}" without "${missing.field}"`, expected: form });
    this.#skipped(name, op);
    // Every field of the op's interface has an entry in the table, and no other is set.
    const taken = op as unknown as Op;
    if (taken.op === 'pte' && taken.flags !== '0' && !taken.gpa) {
      this.#fail('op', { found: '"pte" without "gpa"', expected: form });
    }
    if (Object.hasOwn(closers, name)) {
      this.#open.push({ head: taken, body: [], at: this.#line });
      return;
    }
    this.#places.set(taken, { open: this.#line, close: this.#line });
    this.#into().push(taken);
  }

  /** In the text form an optional argument stands only after those before it. */
  #skipped(name: OpName, op: JsonObject): void {
    const { fields, form } = syntax[name];
    const last = fields.findLastIndex((each) => op[each.field] !== undefined);
    const gap = fields.findIndex((each, i) => i < last && op[each.field] === undefined);
    if (gap >= 0) {
      const found = `"${fields[last]!.field}" without "${fields[gap]!.field}"`;
      this.#fail(fields[last]!.field, { found, expected: form });
    }
  }

  #close(name: string, line: number): void {
    const open = this.#open.at(-1);
    if (!open) this.#fail('op', { found: `"${name}" closes nothing`, expected: 'its block before it' });
    const closer = closerOf(open.head);
    if (name !== closer) {
      const found = `"${name}" inside the "${open.head.op}" of line ${open.at}`;
      this.#fail('op', { found, expected: `"${closer}" first`, suggestion: closer });
    }
    this.#open.pop();
    // The head has every field of its block but these two.
    const block = { ...open.head, body: open.body, endLine: line } as Op;
    this.#places.set(block, { open: open.at, close: this.#line });
    this.#into().push(block);
  }

  #into(): Op[] {
    return this.#open.at(-1)?.body ?? this.#top;
  }

  #value(key: string, value: unknown, type: FieldType | undefined): unknown {
    if (!type) {
      if (value === true) return true;
      this.#fail(key, { found: `"${key}" is ${shown(value)}`, expected: 'true, or no such key' });
    }
    if (typeof value !== type.json) {
      const found = `"${key}" is ${value === null ? 'null' : `a ${typeof value}`}`;
      this.#fail(key, { found, expected: `a ${type.json}: ${type.expected}` });
    }
    const parsed = type.parse(String(value));
    if ('value' in parsed) return parsed.value;
    this.#fail(key, parsed.slip);
  }

  #list(key: string, value: unknown, { type }: Field): unknown[] {
    if (Array.isArray(value)) return value.map((each) => this.#value(key, each, type));
    this.#fail(key, { found: `"${key}" is no list`, expected: `a list of: ${type.expected}` });
  }

  /** An op that stands for others is not in the map under their names; its line leads to it. */
  #placeOf(op: Op): { open: number; close: number } {
    const found = this.#places.get(op);
    if (found) return found;
    for (const [each, place] of this.#places) if (each.line === op.line) return place;
    return { open: 1, close: 1 };
  }

  #fail(key: string | undefined, slip: Slip): never {
    const text = this.#lines[this.#line - 1] ?? '';
    const at = key === undefined ? -1 : text.indexOf(`"${key}"`);
    throw errorAt({ file: this.#file, line: this.#line, column: at + 1 || 1, text }, slip);
  }
}

const closerOf = (op: Op): string => (closers as Readonly<Record<string, string>>)[op.op]!;

/** A value in a message; what is deeper than a message can show is only named. */
const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null ? 'an object' : (JSON.stringify(value) ?? 'missing');
