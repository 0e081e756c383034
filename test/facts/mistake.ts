// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../src/errors.ts';

/** The message of the UserError that the call must throw; any other outcome is an error of its own. */
export function mistakeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('no mistake was reported');
}
