// SPDX-License-Identifier: GPL-2.0-only
import { nearest } from '../errors.ts';
import { checkLine, type Word, wordsOf } from './lines.ts';
import { lower } from './lower.ts';
import { errorAt, OpMistake, type Slip } from './mistakes.ts';
import { closers, type Op, type OpName, type Workload } from './ops.ts';
import { type OpSyntax, syntax } from './syntax.ts';

/** The file name without folder and extension. */
export const workloadName = (fileName: string): string =>
  fileName.replace(/^.*[\\/]/, '').replace(/\.(ops|jsonl)$/, '') || 'workload';

/**
 * A workload from its text. `fileName` stands in the errors. Throws a UserError with line, column and excerpt for
 * whatever the generator of guest images would refuse, and for what a real guest could not survive (a ring 3 loop,
 * whose counter is a supervisor page).
 */
export function parseOps(text: string, fileName: string): Workload {
  return parseLines(text.replace(/^\ufeff/, '').split('\n'), fileName);
}

/** The same from lines without their line ends. */
export function parseLines(lines: readonly string[], file: string): Workload {
  const ops = new Parser(lines, file).parse();
  const title = /^#\s*(.*\S)/.exec(lines[0] ?? '')?.[1];
  const workload: Workload = { name: workloadName(file), ...(title ? { title } : {}), ops };
  try {
    lower(workload);
  } catch (error) {
    if (!(error instanceof OpMistake)) throw error;
    throw semanticError(error, lines, file);
  }
  return workload;
}

/** A block that is still open: its op without `body` and `endLine`. */
interface Open {
  readonly head: Op;
  readonly body: Op[];
  readonly closer: string;
}

class Parser {
  readonly #lines: readonly string[];
  readonly #file: string;
  readonly #open: Open[] = [];
  #line = 0;

  constructor(lines: readonly string[], file: string) {
    this.#lines = lines;
    this.#file = file;
  }

  parse(): Op[] {
    const top: Op[] = [];
    for (const [index, text] of this.#lines.entries()) {
      this.#line = index + 1;
      checkLine(this.#file, this.#line, text);
      const words = wordsOf(text);
      if (words.length === 0) continue;
      const into = this.#open.at(-1)?.body ?? top;
      const closed = this.#close(words);
      if (closed) (this.#open.at(-1)?.body ?? top).push(closed);
      else this.#take(words, into);
    }
    const open = this.#open.at(-1);
    if (open) this.#unclosed(open);
    return top;
  }

  /** Adds the op to `into`, or opens its block. */
  #take(words: readonly Word[], into: Op[]): void {
    const name = words[0]!.text;
    if (!Object.hasOwn(syntax, name)) this.#unknownOp(words[0]!);
    const op = this.#arguments(name as OpName, words);
    const closer = (closers as Readonly<Record<string, string>>)[name];
    if (closer) this.#open.push({ head: op, body: [], closer });
    else into.push(op);
  }

  /** The finished block when the line is a closing word. */
  #close(words: readonly Word[]): Op | undefined {
    const word = words[0]!;
    const opener = Object.entries(closers).find(([, closer]) => closer === word.text)?.[0];
    if (!opener) return undefined;
    const open = this.#open.at(-1);
    if (!open) {
      this.#fail(word, { found: `"${word.text}" closes nothing`, expected: `a "${opener}" before it` });
    }
    if (open.closer !== word.text) {
      const found = `"${word.text}" inside the "${open.head.op}" of line ${open.head.line}`;
      this.#fail(word, { found, expected: `"${open.closer}" first`, suggestion: open.closer });
    }
    if (words[1]) this.#fail(words[1], { found: `"${word.text}" takes no arguments`, expected: word.text });
    this.#open.pop();
    // The head has every field of its block but these two.
    return { ...open.head, body: open.body, endLine: this.#line } as Op;
  }

  #arguments(name: OpName, words: readonly Word[]): Op {
    const { form, fields, rest, options = [] } = syntax[name];
    const values: Record<string, unknown> = { op: name, line: this.#line };
    let next = 1;
    for (const { field, type, optional } of fields) {
      const word = words[next];
      if (!word) {
        if (optional) break;
        this.#missing(words, form);
      }
      values[field] = this.#value(word, word.text, type);
      next++;
    }
    if (rest) values[rest.field] = words.slice(next).map((word) => this.#value(word, word.text, rest.type));
    else for (const word of words.slice(next)) this.#option(word, values, syntax[name]);
    for (const { field, required } of options) {
      if (required && values[field] === undefined) this.#missing(words, form);
    }
    // Every field of the op's interface has an entry in the table, and no other is set.
    const op = values as unknown as Op;
    if (op.op === 'pte' && op.flags !== '0' && op.gpa === undefined) this.#missing(words, form);
    return op;
  }

  #option(word: Word, values: Record<string, unknown>, { form, options = [] }: OpSyntax): void {
    const [key, text] = splitOption(word.text);
    const option = options.find((each) => each.word === key);
    if (!option || (option.type === undefined) !== (text === undefined)) {
      const forms = options.map((each) => (each.type ? `${each.word}=N` : each.word));
      if (forms.length === 0) this.#fail(word, { found: `"${word.text}" is one argument too many`, expected: form });
      const suggestion = option
        ? option.type
          ? `${key}=N`
          : key
        : nearest(
            key,
            options.map((each) => each.word),
          );
      this.#fail(word, { found: `unknown argument "${word.text}"`, expected: form, suggestion });
    }
    if (values[option.field] !== undefined) this.#fail(word, { found: `"${key}" is given twice`, expected: form });
    values[option.field] = option.type ? this.#value(word, text!, option.type, key.length + 1) : true;
  }

  #value(word: Word, text: string, type: OpSyntax['fields'][number]['type'], offset = 0): unknown {
    const parsed = type.parse(text);
    if ('value' in parsed) return parsed.value;
    this.#fail({ ...word, column: word.column + offset + (parsed.slip.offset ?? 0) }, parsed.slip);
  }

  #missing(words: readonly Word[], form: string): never {
    const last = words.at(-1)!;
    const given = words.length - 1;
    const found = `"${words[0]!.text}" has ${given === 0 ? 'no' : `only ${given}`} argument${given === 1 ? '' : 's'}`;
    this.#fail({ text: '', column: last.column + last.text.length }, { found, expected: form });
  }

  #unknownOp(word: Word): never {
    const names = [...Object.keys(syntax), ...Object.values(closers)];
    this.#fail(word, {
      found: `unknown op "${word.text.slice(0, 40)}"`,
      expected: 'an op of docs/ops.md',
      suggestion: nearest(word.text.slice(0, 40), names),
    });
  }

  #unclosed({ head, closer }: Open): never {
    const text = this.#lines[head.line - 1]!;
    const column = wordsOf(text)[0]!.column;
    const found = `the file ends inside this "${head.op}"`;
    throw errorAt({ file: this.#file, line: head.line, column, text }, { found, expected: `"${closer}" after it` });
  }

  #fail(word: Word, slip: Slip): never {
    const text = this.#lines[this.#line - 1]!;
    throw errorAt({ file: this.#file, line: this.#line, column: word.column, text }, slip);
  }
}

/** `pcid=1` as key and value; a word without `=` has no value. */
function splitOption(text: string): [key: string, value: string | undefined] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** The column of a field in its line: the words are still there to be counted. */
function semanticError({ op, field, slip }: OpMistake, lines: readonly string[], file: string): Error {
  const line = field === 'close' && 'endLine' in op ? op.endLine : op.line;
  const text = lines[line - 1]!;
  const words = wordsOf(text);
  const { fields, options = [] } = syntax[op.op];
  const position = fields.findIndex((each) => each.field === field);
  const option = options.find((each) => each.field === field);
  const word = position >= 0 ? words[position + 1] : words.find((each) => splitOption(each.text)[0] === option?.word);
  return errorAt({ file, line, column: (word ?? words[0]!).column, text }, slip);
}
