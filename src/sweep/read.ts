// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync, statSync } from 'node:fs';
import { isMap, isNode, LineCounter, parseDocument } from 'yaml';
import type * as z from 'zod';
import { nearest, UserError } from '../errors.ts';
import { type SweepDescription, sweepSchema } from './schema.ts';

const MAX_FILE = 2 ** 20;

/** A place in the description: keys and indices from the top. */
export type DescriptionPath = readonly PropertyKey[];

/** What a mistake there is, without its place. */
interface Finding {
  readonly found: string;
  readonly expected: string;
  readonly suggestion?: string | undefined;
}

/** A description and how to complain about a part of it. */
export interface ReadDescription {
  readonly description: SweepDescription;
  /** A UserError with file, line, column and the line's text. */
  mistakeAt(path: DescriptionPath, finding: Finding): UserError;
}

/** Reads a description in YAML, of which JSON is a part. UserError with line and column for all that is wrong with it. */
export function readDescription(file: string): ReadDescription {
  return parseDescription(readText(file), file);
}

/** As `readDescription`, from text. */
export function parseDescription(text: string, file: string): ReadDescription {
  const lines = text.split(/\r?\n/);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const errorAt = (offset: number, { found, expected, suggestion }: Finding): UserError => {
    const { line, col } = lineCounter.linePos(offset);
    const place = `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
    const excerpt = { line: lines[line - 1] ?? '', column: Math.max(1, col) };
    return new UserError({ place, found, expected, excerpt, ...(suggestion ? { suggestion } : {}) });
  };
  const [broken] = document.errors;
  if (broken) throw errorAt(broken.pos[0], { found: broken.message, expected: 'YAML or JSON' });
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw errorAt(0, { found: error.message, expected: 'a description that repeats itself less' });
  }
  const mistakeAt = (path: DescriptionPath, finding: Finding): UserError => errorAt(offsetOf(document, path), finding);
  const result = sweepSchema.safeParse(value);
  if (result.success) return { description: result.data, mistakeAt };
  const issue = innermost(result.error.issues[0]!);
  const finding = findingOf(issue, valueAt(value, issue.path));
  if (issue.code === 'unrecognized_keys') throw errorAt(offsetOfKey(document, issue.path, issue.keys[0]!), finding);
  throw mistakeAt(issue.path, finding);
}

function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE) throw new UserError({ place: file, found: `${size} bytes`, expected: `at most ${MAX_FILE}` });
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const found = code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`;
    throw new UserError({ place: file, found, expected: 'the description of a sweep, in YAML or JSON' });
  }
}

type Document = ReturnType<typeof parseDocument>;

/** Where the part stands in the text; the nearest part around it that does, when it is missing. */
function offsetOf(document: Document, path: DescriptionPath): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}

function offsetOfKey(document: Document, path: DescriptionPath, key: string): number {
  const map = path.length === 0 ? document.contents : document.getIn(path, true);
  const pair = isMap(map) ? map.items.find((each) => String(each.key) === key) : undefined;
  return isNode(pair?.key) && pair.key.range ? pair.key.range[0] : offsetOf(document, path);
}

type Issue = z.core.$ZodIssue;

/** Of a choice between forms the complaint of the form that was meant: the one that accepts the value's type. */
function innermost(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const branches = issue.errors.map((issues) => issues[0]!);
  const meant = branches.find(
    ({ code, path }) => path.length > 0 || (code !== 'invalid_type' && code !== 'invalid_value'),
  );
  if (!meant) return { ...issue, message: branches.map((branch) => expectation(branch)).join(', or ') };
  return innermost({ ...meant, path: [...issue.path, ...meant.path] });
}

function findingOf(issue: Issue, value: unknown): Finding {
  const expected = expectation(issue);
  if (issue.code === 'unrecognized_keys') {
    const known = issue.path.length === 0 ? Object.keys(sweepSchema.shape) : ['name', 'l1', 'l2', 'pages', 'caches'];
    return { found: `unknown key "${issue.keys[0]}"`, expected, suggestion: nearest(issue.keys[0]!, known) };
  }
  if (value === undefined) return { found: `no ${String(issue.path.at(-1) ?? 'description')}`, expected };
  const found = JSON.stringify(value);
  const near =
    issue.code === 'invalid_value' && typeof value === 'string' ? nearest(value, issue.values.map(String)) : undefined;
  return { found: found.length > 60 ? `${found.slice(0, 57)}...` : found, expected, suggestion: near };
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return article(issue.expected);
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(' ')}`;
    case 'unrecognized_keys':
      return 'only keys that docs/sweep.md names';
    case 'too_small':
      return issue.origin === 'array' || issue.origin === 'string' ? 'at least one' : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function article(type: string): string {
  const words: Readonly<Record<string, string>> = {
    object: 'a map',
    array: 'a list',
    string: 'a word',
    int: 'a whole number',
    number: 'a number',
  };
  return words[type] ?? type;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = at !== null && typeof at === 'object' ? Reflect.get(at, key) : undefined;
  return at;
}
