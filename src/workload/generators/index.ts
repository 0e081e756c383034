// SPDX-License-Identifier: GPL-2.0-only
import { nearest } from '../../errors.ts';
import type { Workload } from '../ops.ts';
import { parseOps } from '../parse.ts';
import { contextSwitch } from './context-switch.ts';
import { forkExec } from './fork-exec.ts';
import { type Generator, mistake, settingsOf } from './generator.ts';
import { nestedPingpong } from './nested-pingpong.ts';
import { toggleCr0Wp, toggleCr4Pge } from './toggles.ts';

/** Every generator, in the order of lists. */
export const generators: readonly Generator[] = [toggleCr0Wp, toggleCr4Pge, contextSwitch, forkExec, nestedPingpong];

/** The workload a generator makes of the options given. Throws a UserError for unknown names and values out of range. */
export function generate(name: string, given: Readonly<Record<string, string | number>> = {}): Workload {
  const generator = generatorNamed(name);
  const settings = settingsOf(generator, given);
  const values = generator.options.map((option) => {
    const value = 'choices' in option ? settings.word(option.name) : settings.number(option.name);
    return `${option.name}=${value}`;
  });
  const title = `${name} ${values.join(' ')}`;
  return parseOps([`# ${title}`, ...generator.lines(settings), ''].join('\n'), `${name}.ops`);
}

/** The generator of that name. */
export function generatorNamed(name: string): Generator {
  const found = generators.find((each) => each.name === name);
  if (found) return found;
  const names = generators.map((each) => each.name);
  throw mistake(name, 'no such generator', `one of ${names.join(' ')}`, nearest(name, names));
}
