// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { eraPage } from '../facts/reading.ts';
import type { HostOptions } from '../replay/host.ts';
import { mmuKinds } from '../replay/mmu-kinds.ts';
import { gatherReport } from '../replay/report-model.ts';
import { modeName } from '../replay/run.ts';
import { performReplay } from '../replay/task.ts';
import { bundledWorkloads } from '../workload/bundled.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { type ProgressForm, progressOf, withProgress } from './progress.ts';
import { checkReportFolder, writeReportFolder } from './report-folder.ts';
import { runMany, withWorkers, workersOf } from './workers.ts';
import { workloadsNamed } from './workload-input.ts';

/** `mmu-eras report`: a folder with one page that shows workloads under all eras and MMU kinds. */
export const reportCommand: Command = {
  usage: 'report <workloads..>',
  build: (yargs) =>
    withProgress(withWorkers(yargs))
      .positional('workloads', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'bundled names, .ops or .jsonl files, gen:name?option=value, or all for every bundled one',
      })
      .option('output', {
        alias: 'o',
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'folder for index.html, report.md, report.json, eras/ and charts/',
      })
      .option('eras', { type: 'string', default: 'all', describe: 'ids, commits, releases, ranges, or all' })
      .option('mmu', {
        choices: Object.keys(mmuKinds),
        array: true,
        default: ['shadow', 'npt', 'ept'],
        describe: 'MMU kinds; npt is the legacy MMU and the TDP MMU, ept the default of each kernel',
      })
      .option('vendor', {
        choices: ['svm', 'vmx'] as const,
        default: 'svm',
        describe: 'vendor module under shadow paging',
      })
      .example('mmu-eras report wp-toggle cr3-switch -o out', 'two workloads, every era, every MMU kind')
      .example('mmu-eras report all -o out --eras 5.17..6.4 --mmu npt', 'every bundled workload, fewer columns'),
  async run(args) {
    const folder = String(args.output);
    checkReportFolder(folder);
    const workloads = await workloadsNamed(workloadNames(args.workloads as readonly string[]));
    const vendor = args.vendor as HostOptions['vendor'];
    const chosen = new Set((args.mmu as readonly string[]).flatMap((name) => mmuKinds[name]!));
    const hosts = [...chosen].map((host) => ({ ...host, vendor }));
    const progress = progressOf('report', args.progress as ProgressForm);
    const workers = workersOf(args.workers);
    const model = await gatherReport(workloads, { eras: String(args.eras), hosts }, (tasks) =>
      runMany({ name: 'replay', perform: performReplay }, tasks, {
        workers,
        progress,
        itemOf: ({ workload, era, host }) => `${workload.name} ${modeName(host)} ${era}`,
      }),
    );
    const { reportFiles } = await import('../report/bundle.ts');
    writeReportFolder(
      folder,
      await reportFiles(
        model,
        model.eras.map(({ id }) => eraPage(id)),
      ),
    );
    process.stdout.write(`${join(folder, 'index.html')}\n`);
    return exit.ok;
  },
};

/** Each workload once, in the order given. */
const workloadNames = (given: readonly string[]): string[] => [
  ...new Set(given.flatMap((name) => (name === 'all' ? bundledWorkloads().map((each) => each.name) : [name]))),
];
