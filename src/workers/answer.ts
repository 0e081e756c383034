// SPDX-License-Identifier: GPL-2.0-only
import { type Mistake, UserError } from '../errors.ts';

/** A result, or the user's mistake: errors lose their class between threads. */
export type Answer<Result> = { readonly result: Result } | { readonly mistake: Mistake };

/** In the thread: what a task gives, or the mistake it throws. */
export async function answer<Result>(perform: () => Result | Promise<Result>): Promise<Answer<Result>> {
  try {
    return { result: await perform() };
  } catch (error) {
    if (error instanceof UserError) return { mistake: error.mistake };
    throw error;
  }
}

/** In the main thread: the result; throws the mistake as a UserError. */
export function unwrap<Result>(given: Answer<Result>): Result {
  if ('mistake' in given) throw new UserError(given.mistake);
  return given.result;
}
