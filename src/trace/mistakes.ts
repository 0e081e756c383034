// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { eventNames, isAboutPage, KIND_SHIFT, pageOf } from './events.ts';

/** An event that its guest cannot do. `number` counts from 0 over the whole trace. */
export function eventError(number: number, found: string, expected: string): UserError {
  return new UserError({ place: `event ${number}`, found, expected });
}

/** An event in words: `edit of page 0x7f0000000`, `cr3 with operand 9`. */
export function describeEvent(lo: number, hi: number): string {
  const kind = hi >>> KIND_SHIFT;
  const name = eventNames[kind] ?? `kind ${kind}`;
  return isAboutPage(kind) ? `${name} of page 0x${pageOf(lo, hi).toString(16)}` : `${name} with operand ${lo >>> 0}`;
}
