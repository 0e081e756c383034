// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';

/** A role as typed: the base word, and the extended word when 64 bits were given. */
export interface RoleWord {
  readonly input: string;
  readonly base: number;
  readonly ext: number | null;
}

/**
 * A role in hex, with or without `0x`, `_` allowed between digits. 16 digits, or a value of more than 32 bits, is a
 * 64-bit role: base in the low half, extended in the high half. Throws UserError on anything else.
 */
export function parseRoleWord(input: string): RoleWord {
  const digits = input.replace(/^0x/i, '');
  if (!/^[0-9a-f]+(_[0-9a-f]+)*$/i.test(digits)) throw badWord(input, `"${input}" is no hex number`);
  const plain = digits.replaceAll('_', '');
  const significant = plain.replace(/^0+/, '');
  if (significant.length > 16 || plain.length > 16) throw badWord(input, `"${input}" has ${plain.length} hex digits`);
  const padded = plain.padStart(16, '0');
  const high = Number.parseInt(padded.slice(0, 8), 16);
  return {
    input,
    base: Number.parseInt(padded.slice(8), 16),
    ext: plain.length === 16 || high !== 0 ? high : null,
  };
}

function badWord(input: string, found: string): UserError {
  const hex = /[0-9a-f]{2,}/i.exec(input.replace(/^0x/i, ''))?.[0];
  return new UserError({
    place: 'decode',
    found,
    expected: 'up to 16 hex digits: 0x3784 or 3784 for a base word, 0x8100002704 for extended and base word',
    ...(hex && hex.length <= 16 ? { suggestion: `mmu-eras decode 0x${hex.toLowerCase()} --era all` } : {}),
  });
}
