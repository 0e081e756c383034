// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import { UserError } from '../errors.ts';
import { compareRecords } from '../replay/compare.ts';
import type { HostOptions } from '../replay/host.ts';
import { loadPort } from '../replay/ports.ts';
import { isAvailable, type ReplayRecord } from '../replay/record.ts';
import { replay } from '../replay/run.ts';
import { compareDocument, compareJson, compareJsonl } from '../report/compare.ts';
import { renderMarkdown, renderText } from '../report/document.ts';
import { loadWorkload } from '../workload/bundled.ts';
import type { Workload } from '../workload/ops.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { hostOptions, withHostOptions } from './replay-options.ts';

export const compareCommand: Command = {
  usage: 'compare <workload> <a> <b>',
  build: (yargs) =>
    withHostOptions(yargs)
      .positional('workload', {
        type: 'string',
        demandOption: true,
        describe: 'bundled name, file, or gen:name?option=value',
      })
      .positional('a', { type: 'string', demandOption: true, describe: 'an era: id, commit or release' })
      .positional('b', { type: 'string', demandOption: true, describe: 'another era' })
      .option('format', {
        choices: ['text', 'json', 'jsonl', 'md'] as const,
        default: 'text',
        describe: 'form of the output',
      }),
  async run(args) {
    const workload = loadWorkload(args.workload as string);
    const options = hostOptions(args);
    const [a, b] = [await loadPort(args.a as string), await loadPort(args.b as string)];
    const comparison = compareRecords(a, run(a, workload, options), b, run(b, workload, options));
    const render = { json: compareJson, jsonl: compareJsonl }[args.format as string];
    const document = args.format === 'md' ? renderMarkdown : renderText;
    process.stdout.write(render ? render(comparison) : document(compareDocument(comparison)));
    return comparison.same ? exit.ok : exit.differs;
  },
};

function run(era: Era, workload: Workload, options: HostOptions): ReplayRecord {
  const result = replay(era, workload, options);
  if (isAvailable(result)) return result;
  throw new UserError({
    place: `compare ${era.id}`,
    found: result.unavailable,
    expected: 'an MMU kind that both eras have',
    suggestion: '--mmu shadow',
  });
}
