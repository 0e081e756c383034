// SPDX-License-Identifier: GPL-2.0-only
import { eraRecord } from '../facts/index.ts';
import { loadPorts } from '../replay/ports.ts';
import type { ReplayResult } from '../replay/record.ts';
import { renderMarkdown, renderText } from '../report/document.ts';
import { replayCsv, replayDocument, replayJson, replayJsonl } from '../report/replay.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { standardOutput } from './facts/options.ts';
import { replayNamed } from './replay-input.ts';
import { replayInput, withReplayInput } from './replay-options.ts';

const formats = ['text', 'json', 'jsonl', 'csv', 'md'] as const;

export const replayCommand: Command = {
  usage: 'replay <workload>',
  build: (yargs) =>
    withReplayInput(yargs)
      .option('eras', {
        alias: 'era',
        type: 'string',
        default: 'all',
        describe: 'ids, commits, releases, ranges, or all',
      })
      .option('explain', {
        type: 'boolean',
        default: false,
        describe: 'function, register bit and call chain of each root load',
      })
      .option('phases', { type: 'boolean', default: false, describe: 'every counter of every phase' })
      .option('format', { choices: formats, default: 'text', describe: 'form of the output' }),
  async run(args) {
    const eras = await loadPorts(args.eras as string);
    const results = await replayNamed(args.workload as string, eras, replayInput('replay', args));
    process.stdout.write(render(results, args.format as (typeof formats)[number], args));
    return exit.ok;
  },
};

function render(
  results: readonly ReplayResult[],
  format: (typeof formats)[number],
  args: Readonly<Record<string, unknown>>,
): string {
  const proposed = results.map(({ era }) => era).filter((id) => eraRecord(id).status === 'proposed');
  const view = { explain: args.explain === true, phases: args.phases === true, proposed };
  switch (format) {
    case 'json':
      return replayJson(results);
    case 'jsonl':
      return replayJsonl(results);
    case 'csv':
      return replayCsv(results);
    case 'md':
      return renderMarkdown(replayDocument(results, view));
    case 'text':
      return linked(
        renderText(replayDocument(results, view)),
        standardOutput(),
        results.map(({ era }) => era),
      );
  }
}
