// SPDX-License-Identifier: GPL-2.0-only
import { nearest } from '../errors.ts';
import { badFlag, flagLetters } from './bits.ts';
import type { Slip } from './mistakes.ts';
import { fits, hexOf, numberOf, parseU64, type U64 } from './u64.ts';

/** A value, or what is wrong with the word. */
type Parsed<T> = { readonly value: T } | { readonly slip: Slip };

/** How one argument is read, printed, and held in JSON. */
export interface FieldType<T = unknown> {
  /** What the argument is, for messages: "a decimal or 0x number from 1 to 15". */
  readonly expected: string;
  /** Its form in JSON; strings hold the printed word. */
  readonly json: 'number' | 'string';
  parse(word: string): Parsed<T>;
  print(value: T): string;
}

const slip = (found: string, expected: string, suggestion?: string): { slip: Slip } => ({
  slip: { found, expected, suggestion },
});

/** A number from `min` to `max`. `hex` decides how it prints; both forms are read. */
export function number(min: number, max: number, hex = false): FieldType<number> {
  const print = (value: number) => (hex ? `0x${value.toString(16)}` : String(value));
  const expected = `a decimal or 0x number from ${print(min)} to ${print(max)}`;
  return {
    expected,
    json: 'number',
    parse(word) {
      const parsed = parseU64(word);
      if (!parsed) return slip(`"${word}" is not a number`, expected);
      const value = numberOf(parsed);
      return value < min || value > max ? slip(`${word} is out of range`, expected) : { value };
    },
    print,
  };
}

/** One of a few numbers. */
export function oneNumber<N extends number>(choices: readonly N[]): FieldType<N> {
  const expected = choices.join(' or ');
  return {
    expected,
    json: 'number',
    parse(word) {
      const value = choices.find((choice) => String(choice) === word);
      return value === undefined ? slip(`"${word}" is not ${expected}`, expected) : { value };
    },
    print: String,
  };
}

/** An address of at most `bits` bits. */
export function address(bits: number): FieldType<U64> {
  const expected = `an address of at most ${bits} bits, 0x hexadecimal or decimal`;
  return {
    expected,
    json: 'string',
    parse(word) {
      const value = parseU64(word);
      if (!value) return slip(`"${word}" is not an address`, expected);
      return fits(value, bits) ? { value } : slip(`${word} is out of range`, expected);
    },
    print: hexOf,
  };
}

/** One of a fixed set of words. */
export function word<W extends string>(what: string, choices: readonly W[]): FieldType<W> {
  const expected = `one of ${choices.join(' ')}`;
  return {
    expected,
    json: 'string',
    parse(found) {
      const value = choices.find((choice) => choice === found);
      return value === undefined ? slip(`unknown ${what} "${found}"`, expected, nearest(found, choices)) : { value };
    },
    print: (value) => value,
  };
}

/** A name that a definition gives or that refers to one. `pattern` is anchored. */
export function name(what: string, pattern: RegExp, expected: string): FieldType<string> {
  return {
    expected,
    json: 'string',
    parse: (found) => (pattern.test(found) ? { value: found } : slip(`"${found}" is no ${what}`, expected)),
    print: (value) => value,
  };
}

/** Entry flags; `zero` lets the word `0` stand for an empty entry. */
export function flags(zero: boolean): FieldType<string> {
  const expected = `flags: ${flagLetters}${zero ? ', or 0 for an empty entry' : ''}`;
  return {
    expected,
    json: 'string',
    parse(found) {
      if (zero && found === '0') return { value: found };
      const at = badFlag(found);
      if (at < 0) return { value: found };
      const what = found[at] === 'k' ? `no key after "k" in "${found}"` : `unknown flag "${found[at]}" in "${found}"`;
      const lower = found[at]!.toLowerCase();
      const near = badFlag(lower) < 0 ? found.replace(found[at]!, lower) : undefined;
      return { slip: { found: what, expected, suggestion: near, offset: at } };
    },
    print: (value) => value,
  };
}

/** A register bit with its sign. `signs` is `+-`, or `+` where bits can only be set. */
export function bitChange(register: string, names: readonly string[], signs: '+-' | '+'): FieldType<string> {
  const expected = `${signs === '+' ? '+BIT' : '+BIT or -BIT'} with BIT one of ${names.join(' ')}`;
  return {
    expected,
    json: 'string',
    parse(found) {
      const sign = found[0] ?? '';
      if (sign === '' || !signs.includes(sign)) {
        const bit = names.find((each) => each === found.toUpperCase());
        return slip(`"${found}" has no sign`, expected, bit ? `+${bit}` : undefined);
      }
      const bit = names.find((each) => each === found.slice(1));
      if (bit) return { value: found };
      const near = nearest(found.slice(1), names);
      return slip(`unknown flag "${found}" for ${register}`, expected, near ? `${sign}${near}` : undefined);
    },
    print: (value) => value,
  };
}

/** A 64-bit value or a tree's name. */
export const valueOrName: FieldType<U64 | string> = {
  expected: 'a 64-bit value, or the name of a tree for its root',
  json: 'string',
  parse(found) {
    if (/^[0-9]/.test(found)) {
      const value = parseU64(found);
      return value ? { value } : slip(`"${found}" is not a 64-bit value`, this.expected);
    }
    return { value: found };
  },
  print: (value) => (typeof value === 'string' ? value : hexOf(value)),
};
