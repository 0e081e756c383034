// SPDX-License-Identifier: GPL-2.0-only
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Options } from 'yargs';
import { UserError } from '../errors.ts';
import type { Generator, GeneratorOption } from '../workload/generators/generator.ts';
import { generate, generators } from '../workload/generators/index.ts';
import { toJsonl } from '../workload/jsonl.ts';
import { printOps } from '../workload/print.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';

const names = new Set(generators.flatMap((generator) => generator.options.map((option) => option.name)));

/** `mmu-eras gen`: writes a generated workload, or lists the generators. */
export const genCommand: Command = {
  usage: 'gen [name]',
  build: (yargs) =>
    yargs
      .positional('name', { type: 'string', describe: 'generator; without one, all are listed with their options' })
      .options(Object.fromEntries([...names].map((name) => [name, optionOf(name)])))
      .option('format', { choices: ['ops', 'jsonl'] as const, default: 'ops', describe: 'language of the output' })
      .option('output', { alias: 'o', type: 'string', describe: 'file to write instead of standard output' })
      .example('mmu-eras gen toggle_cr0_wp --iterations 1000', 'one thousand rounds of CR0.WP off and on')
      .example('mmu-eras gen context-switch --order zipf -o cs.ops', 'into a file'),
  async run(args) {
    if (args.name === undefined) {
      process.stdout.write(generators.map(describe).join('\n'));
      return exit.ok;
    }
    const given = [...names].flatMap((name) => (args[name] === undefined ? [] : [[name, String(args[name])] as const]));
    const workload = generate(String(args.name), Object.fromEntries(given));
    const text = args.format === 'jsonl' ? toJsonl(workload) : printOps(workload);
    if (args.output === undefined) process.stdout.write(text);
    else writeWhole(String(args.output), text);
    return exit.ok;
  },
};

/** One option as yargs shows it, with the generators that have it. Values are checked where they are used. */
function optionOf(name: string): Options {
  const having = generators.filter((generator) => generator.options.some((option) => option.name === name));
  const meanings = new Set(
    having.map((generator) => generator.options.find((option) => option.name === name)!.meaning),
  );
  const of = having.length === generators.length ? '' : `${having.map((each) => each.name).join(', ')}: `;
  return { type: 'string', requiresArg: true, describe: `${of}${[...meanings].join('; or ')}` };
}

function describe({ name, summary, options }: Generator): string {
  const rows = options.map((option) => [`--${option.name} ${rangeOf(option)}`, option] as const);
  const width = Math.max(...rows.map(([text]) => text.length));
  const lines = rows.map(([text, option]) => `  ${text.padEnd(width)}  ${option.meaning} (default ${option.default})`);
  return `${name}: ${summary}\n${lines.map((line) => `${line}\n`).join('')}`;
}

const rangeOf = (option: GeneratorOption): string =>
  'choices' in option ? option.choices.join('|') : `${option.min}..${option.max}`;

/** Writes beside the file and renames, so that the file is never there in part. */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UserError({
      place: path,
      found: `cannot be written (${code})`,
      expected: 'a file in a folder that may be written',
    });
  }
}
