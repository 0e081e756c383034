// SPDX-License-Identifier: GPL-2.0-only
import type { Options } from 'yargs';
import { nearest, UserError } from '../errors.ts';
import { traceOptions } from '../trace/generate/options.ts';
import { type TracePresetName, tracePresets } from '../trace/generate/presets.ts';
import type { GeneratorOption } from '../workload/generators/generator.ts';
import { generators } from '../workload/generators/index.ts';

/** A generator as its options and its list show it; every named trace has the same options. */
interface Listed {
  readonly name: string;
  readonly options: readonly GeneratorOption[];
}

// Object.keys gives names as strings.
const presetNames = Object.keys(tracePresets) as TracePresetName[];
const listed: readonly Listed[] = [...generators, { name: 'traces', options: traceOptions(presetNames[0]!) }];

/** Names of all generators, workloads first. */
const generatorNames: readonly string[] = [...generators.map(({ name }) => name), ...presetNames];

/** Names of the options of all generators. */
export const optionNames = new Set(listed.flatMap(({ options }) => options.map(({ name }) => name)));

/** One option as yargs shows it, with the generators that have it. Values are checked where they are used. */
export function optionOf(name: string): Options {
  const having = listed.filter(({ options }) => options.some((option) => option.name === name));
  const meanings = new Set(having.map(({ options }) => options.find((option) => option.name === name)!.meaning));
  const of = having.length === listed.length ? '' : `${having.map((each) => each.name).join(', ')}: `;
  return { type: 'string', requiresArg: true, describe: `${of}${[...meanings].join('; or ')}` };
}

/** Every generator with its options, then the named traces. */
export function listText(): string {
  const workloads = generators.map(({ name, summary, options }) => `${name}: ${summary}\n${rowsOf(options)}`);
  return `${[...workloads, tracesText()].join('\n')}`;
}

function tracesText(): string {
  const width = Math.max(...presetNames.map((name) => name.length));
  const common = traceOptions(presetNames[0]!);
  const rows = presetNames.map((name) => {
    const values = traceOptions(name)
      .filter((option, i) => i < 3 || option.default !== common[i]!.default)
      .map((option) => `${option.name}=${option.default}`);
    return `  ${name.padEnd(width)}  ${values.join(' ')}\n`;
  });
  return `traces, into a file by -o FILE.mmut: the first with all defaults, the others with what is different\n${rows.join('')}\n${rowsOf(common)}`;
}

function rowsOf(options: readonly GeneratorOption[]): string {
  const rows = options.map((option) => [`--${option.name} ${rangeOf(option)}`, option] as const);
  const width = Math.max(...rows.map(([text]) => text.length));
  return rows
    .map(([text, option]) => `  ${text.padEnd(width)}  ${option.meaning} (default ${option.default})\n`)
    .join('');
}

const rangeOf = (option: GeneratorOption): string =>
  'choices' in option ? option.choices.join('|') : `${option.min}..${option.max}`;

/** UserError when no generator has the name. */
export function checkName(name: string): void {
  if (generatorNames.includes(name)) return;
  const near = nearest(name, generatorNames);
  throw new UserError({
    place: `gen ${name}`,
    found: 'no such generator',
    expected: `one of ${generatorNames.join(' ')}`,
    ...(near === undefined ? {} : { suggestion: near }),
  });
}
