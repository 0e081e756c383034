// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { type Comparison, compareRecords } from '../replay/compare.ts';
import { loadPort } from '../replay/ports.ts';
import { isAvailable, type ReplayRecord, type ReplayResult } from '../replay/record.ts';
import { compareDocument, compareJson, compareJsonl } from '../report/compare.ts';
import { renderMarkdown, renderText } from '../report/document.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { standardOutput } from './facts/options.ts';
import { replayNamed } from './replay-input.ts';
import { replayInput, withReplayInput } from './replay-options.ts';

const formats = ['text', 'json', 'jsonl', 'md'] as const;

export const compareCommand: Command = {
  usage: 'compare <workload> <a> <b>',
  build: (yargs) =>
    withReplayInput(yargs)
      .positional('a', { type: 'string', demandOption: true, describe: 'an era: id, commit or release' })
      .positional('b', { type: 'string', demandOption: true, describe: 'another era' })
      .option('format', {
        choices: formats,
        default: 'text',
        describe: 'form of the output',
      }),
  async run(args) {
    const [a, b] = [await loadPort(args.a as string), await loadPort(args.b as string)];
    const [ofA, ofB] = await replayNamed(args.workload as string, [a, b], replayInput('compare', args));
    const comparison = compareRecords(a, available(ofA!), b, available(ofB!));
    process.stdout.write(render(comparison, args.format as (typeof formats)[number]));
    return comparison.same ? exit.ok : exit.differs;
  },
};

function render(comparison: Comparison, format: (typeof formats)[number]): string {
  switch (format) {
    case 'json':
      return compareJson(comparison);
    case 'jsonl':
      return compareJsonl(comparison);
    case 'md':
      return renderMarkdown(compareDocument(comparison));
    case 'text':
      return linked(renderText(compareDocument(comparison)), standardOutput(), [comparison.a, comparison.b]);
  }
}

function available(result: ReplayResult): ReplayRecord {
  if (isAvailable(result)) return result;
  throw new UserError({
    place: `compare ${result.era}`,
    found: result.unavailable,
    expected: 'an MMU kind that both eras have',
    suggestion: '--mmu shadow',
  });
}
