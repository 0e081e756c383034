// SPDX-License-Identifier: GPL-2.0-only
import { parityModel } from '../parity/model.ts';
import { findRecordings } from '../parity/recording.ts';
import { type ParityTask, performParity } from '../parity/run.ts';
import { parityJson, parityMarkdown, parityPage, parityText } from '../report/parity.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { type ProgressForm, progressOf, withProgress } from './progress.ts';
import { runMany, withWorkers, workersOf } from './workers.ts';

const formats = ['text', 'json', 'md', 'page'] as const;
const renderers = { text: parityText, json: parityJson, md: parityMarkdown, page: parityPage };

export const parityCommand: Command = {
  usage: 'parity <paths..>',
  build: (yargs) =>
    withProgress(withWorkers(yargs))
      .positional('paths', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'folders or files: <release>/<mode>/<workload>.truth.json, run-info.txt beside them',
      })
      .option('era', { type: 'string', default: 'auto', describe: 'era to replay; auto: the one of the release' })
      .option('ops', { type: 'string', describe: 'folder with the .ops of workloads that are not bundled' })
      .option('format', { choices: formats, default: 'text', describe: 'form of the output; page: docs/parity.md' }),
  async run({ paths, era, ops, format, ...rest }) {
    const options = { era: era === 'auto' ? null : (era as string), ops: (ops as string | undefined) ?? null };
    const tasks = findRecordings(paths as string[]).map((recording): ParityTask => ({ recording, options }));
    const progress = progressOf('parity', rest.progress as ProgressForm);
    const runs = await runMany({ name: 'parity', perform: performParity }, tasks, {
      workers: workersOf(rest.workers),
      progress,
      itemOf: ({ recording: { release, mode, workload } }) => `${release} ${mode} ${workload}`,
    });
    const model = parityModel(runs);
    process.stdout.write(renderers[format as (typeof formats)[number]](model));
    return model.runs.some(({ groups }) => groups.A.exact < groups.A.compared) ? exit.differs : exit.ok;
  },
};
