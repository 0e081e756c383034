// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { isTracePreset, type TracePresetName } from '../trace/generate/presets.ts';
import { generate } from '../workload/generators/index.ts';
import { toJsonl } from '../workload/jsonl.ts';
import { printOps } from '../workload/print.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { checkName, listText, optionNames, optionOf } from './gen-list.ts';
import { type ProgressForm, progressOf, withProgress } from './progress.ts';

type Given = Readonly<Record<string, string>>;

/** `mmu-eras gen`: writes a generated workload or trace, or lists the generators. */
export const genCommand: Command = {
  usage: 'gen [name]',
  build: (yargs) =>
    withProgress(yargs)
      .positional('name', { type: 'string', describe: 'generator; without one, all are listed with their options' })
      .options(Object.fromEntries([...optionNames].map((name) => [name, optionOf(name)])))
      .option('format', { choices: ['ops', 'jsonl'] as const, default: 'ops', describe: 'language of a workload' })
      .option('output', { alias: 'o', type: 'string', describe: 'file to write; a trace needs one, FILE.mmut' })
      .example('mmu-eras gen toggle_cr0_wp --iterations 1000', 'one thousand rounds of CR0.WP off and on')
      .example('mmu-eras gen context-switch --order zipf -o cs.ops', 'into a file')
      .example('mmu-eras gen shadow-wp --events 1000000 -o wp.mmut', 'a trace of one million events'),
  async run(args) {
    if (args.name === undefined) {
      process.stdout.write(listText());
      return exit.ok;
    }
    const name = String(args.name);
    checkName(name);
    const output = args.output === undefined ? undefined : String(args.output);
    const given = Object.fromEntries(
      [...optionNames].flatMap((option) => (args[option] === undefined ? [] : [[option, String(args[option])]])),
    );
    if (isTracePreset(name)) await generateTrace(name, given, { output, progress: args.progress as ProgressForm });
    else await generateWorkload(name, given, { format: String(args.format), output });
    return exit.ok;
  },
};

async function generateTrace(
  name: TracePresetName,
  given: Given,
  { output, progress: form }: { output: string | undefined; progress: ProgressForm },
): Promise<void> {
  if (output === undefined || !output.endsWith('.mmut')) {
    throw new UserError({
      place: `gen ${name}`,
      found: output === undefined ? 'no file to write the trace to' : `output ${output}`,
      expected: 'a file whose name ends in .mmut, as traces are binary',
      suggestion: `mmu-eras gen ${name} -o ${name}.mmut`,
    });
  }
  const [{ generatedHeader, traceSpec }, { tracePieces }, { writeTrace }] = await Promise.all([
    import('../trace/generate/options.ts'),
    import('../trace/generate/stream.ts'),
    import('../trace/files.ts'),
  ]);
  const spec = traceSpec(name, given);
  const progress = progressOf('gen', form);
  try {
    await writeTrace(output, generatedHeader(name, spec), async (writer) => {
      progress.start(spec.events);
      for (const { words, count } of tracePieces(spec)) {
        await writer.write(words, 0, count);
        progress.advance(count);
      }
    });
  } finally {
    progress.end();
  }
}

async function generateWorkload(
  name: string,
  given: Given,
  { format, output }: { format: string; output: string | undefined },
): Promise<void> {
  const workload = generate(name, given);
  const text = format === 'jsonl' ? toJsonl(workload) : printOps(workload);
  if (output === undefined) {
    process.stdout.write(text);
    return;
  }
  const { writeAll, writeWhole } = await import('../trace/files.ts');
  await writeWhole(output, (file) => writeAll(file, Buffer.from(text)));
}
