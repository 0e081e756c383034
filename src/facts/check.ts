// SPDX-License-Identifier: GPL-2.0-only
import type { core } from 'zod/mini';
import { UserError } from '../errors.ts';

/** A schema of zod or of zod/mini. */
interface Schema<T> {
  safeParse(
    value: unknown,
    context: { readonly jitless: boolean },
  ): { success: true; data: T } | { success: false; error: core.$ZodError };
}

/** Checks `value` against `schema`; a UserError names the file, the path inside it, what was found and expected. */
export function check<T>(schema: Schema<T>, value: unknown, file: string): T {
  // One value a process: compiling the schema would take longer than the check.
  const result = schema.safeParse(value, { jitless: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = issue.path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  throw new UserError({
    place: `${file} at ${path.replace(/^\./, '') || 'the top'}`,
    found:
      issue.code === 'unrecognized_keys' ? `unknown key ${issue.keys.join(', ')}` : shown(valueAt(value, issue.path)),
    expected: expectation(issue),
  });
}

function expectation(issue: core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected;
    case 'invalid_value':
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'unrecognized_keys':
      return 'only the keys of the schema';
    case 'too_small':
      return `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = at !== null && typeof at === 'object' ? Reflect.get(at, key) : undefined;
  return at;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}...` : json;
}
