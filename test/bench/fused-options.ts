// SPDX-License-Identifier: GPL-2.0-only
import { parseArgs } from 'node:util';
import { ports } from '../../snapshots/index.ts';
import { nearest, UserError } from '../../src/errors.ts';

/**
 * Eight kernels. `alike`: those that do the same to hardware on this trace under NPT, of which there are five eras, so three
 * take part twice; two replays of one era share no more than those of two. `newest`: the last eight eras, the first
 * three of which drop their root at each toggle.
 */
const sets = {
  alike: ['cr0wp', 'v6.1', 'v6.12', 'v7.2', 'v7.3', 'cr0wp', 'v6.12', 'v7.3'],
  newest: ports.slice(-8).map(({ id }) => id),
} as const;

/** What `npm run bench -- fused …` was asked for. */
export interface FusedOptions {
  readonly eras: readonly string[];
  readonly kind: 'shadow' | 'npt' | 'ept';
  /** Of the trace. */
  readonly events: number;
  readonly runs: number;
  readonly format: 'text' | 'json';
}

export const usage = `npm run bench -- fused [--eras alike|newest|ID,ID,…] [--kind npt|ept|shadow] [--events N] [--runs N] [--format text|json]

  --eras    replayed together; an era may come twice (default alike: ${sets.alike.join(',')})
  --kind    of MMU (default npt)
  --events  of the trace, a twod-wp (default 1000000)
  --runs    repetitions, taking turns (default 5)`;

/** Parses the command line. UserError for what it does not know. */
export function fusedOptions(args: readonly string[]): FusedOptions {
  const values = parse(args);
  const { eras, kind, events, runs, format } = values;
  return {
    eras: eras === 'alike' || eras === 'newest' ? sets[eras] : eras.split(',').map((id) => oneOf('--eras', id, ids)),
    kind: oneOf('--kind', kind, ['shadow', 'npt', 'ept'] as const),
    events: whole('--events', events, 2 ** 31),
    runs: whole('--runs', runs, 99),
    format: oneOf('--format', format, ['text', 'json'] as const),
  };
}

const ids = ports.map(({ id }) => id);

function parse(args: readonly string[]) {
  const option = (value: string) => ({ type: 'string', default: value }) as const;
  const options = {
    eras: option('alike'),
    kind: option('npt'),
    events: option('1000000'),
    runs: option('5'),
    format: option('text'),
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new UserError({ place: 'bench fused', found, expected: `\n${usage}` });
  }
}

function oneOf<T extends string>(place: string, found: string, names: readonly T[]): T {
  const name = names.find((each) => each === found);
  if (name !== undefined) return name;
  const suggestion = nearest(found, [...names]);
  throw new UserError({ place, found, expected: names.join(' '), ...(suggestion ? { suggestion } : {}) });
}

function whole(place: string, found: string, most: number): number {
  const value = Number(found);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UserError({ place, found, expected: `a whole number from 1 to ${most}` });
}
