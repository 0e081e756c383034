// SPDX-License-Identifier: GPL-2.0-only
import { nearest, UserError } from '../../errors.ts';

/** One option of a generator: a whole number in a range, or one of a few words. */
export type GeneratorOption = { readonly name: string; readonly meaning: string } & (
  | { readonly default: number; readonly min: number; readonly max: number }
  | { readonly default: string; readonly choices: readonly string[] }
);

/** A family of workloads. */
export interface Generator {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly GeneratorOption[];
  /** The ops of one member, as lines of text without a title. Same settings, same lines. */
  lines(settings: Settings): string[];
}

/** Option values of one member, complete and in range. */
export interface Settings {
  number(name: string): number;
  word(name: string): string;
}

/** The option that every generator has. */
export const seed: GeneratorOption = {
  name: 'seed',
  default: 1,
  min: 0,
  max: 0xffffffff,
  meaning: 'of the pseudo-random choices; the same seed gives the same workload',
};

/** Settings from what the user gave, as text or numbers; what was left out has its default. */
export function settingsOf(
  generator: Pick<Generator, 'name' | 'options'>,
  given: Readonly<Record<string, string | number>>,
): Settings {
  const { name: who, options } = generator;
  const values = new Map(options.map((option) => [option.name, option.default]));
  for (const [name, value] of Object.entries(given)) {
    const option = options.find((each) => each.name === name);
    if (!option) {
      const names = options.map((each) => each.name);
      const near = nearest(name, names);
      throw mistake(who, `unknown option "${name}"`, `one of ${names.join(' ')}`, near && `${near}=…`);
    }
    values.set(name, parseSetting(who, option, String(value)));
  }
  // The table holds every option, and each value has its option's type.
  return { number: (name) => values.get(name) as number, word: (name) => values.get(name) as string };
}

/** Seeds with which the generator of numbers would give zeros only. */
const DEAD_SEED = 0x9e3779b9;

function parseSetting(who: string, option: GeneratorOption, text: string): number | string {
  if ('choices' in option) {
    if (option.choices.includes(text)) return text;
    const expected = `one of ${option.choices.join(' ')}`;
    throw mistake(who, `${option.name}=${text}`, expected, nearest(text, option.choices));
  }
  const { min, max, name } = option;
  const value = Number(text);
  if (/^[0-9]+$/.test(text) && value >= min && value <= max && !(name === 'seed' && value === DEAD_SEED)) return value;
  throw mistake(
    who,
    `${name}=${text}`,
    `a whole number from ${min} to ${max}${name === 'seed' ? ` but ${DEAD_SEED}` : ''}`,
  );
}

/** A mistake in the settings of a generator. */
export function mistake(who: string, found: string, expected: string, suggestion?: string): UserError {
  return new UserError({ place: `gen ${who}`, found, expected, ...(suggestion ? { suggestion } : {}) });
}

/** 0x form of an address. */
export const hex = (address: number): string => `0x${address.toString(16)}`;

/** Linear address of the data of generated workloads, and the first guest-physical address of data pages. */
export const DATA = 0x10000000;
export const FRAMES = 0x400000;
/** End of guest RAM. */
export const RAM_END = 0x2000000;
