// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { HostOptions } from '../replay/host.ts';
import { resolvePorts } from '../replay/ports.ts';
import { usesOf } from '../replay/uses.ts';
import { renderMarkdown, renderText } from '../report/document.ts';
import { usesCsv, usesDocument, usesJson } from '../report/uses.ts';
import { bundledWorkloads, loadWorkload } from '../workload/bundled.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';

const formats = ['text', 'json', 'csv', 'md'] as const;

export const usesCommand: Command = {
  usage: 'uses [workload]',
  build: (yargs) =>
    yargs
      .positional('workload', {
        type: 'string',
        describe: 'bundled name, file or gen:name (default: every bundled workload)',
      })
      .option('eras', { type: 'string', default: 'cpu-role', describe: 'ids, commits, releases, ranges, or all' })
      .option('mmu', {
        choices: ['shadow', 'npt', 'ept'] as const,
        describe: 'one kind only (default: every kind the era has)',
      })
      .option('format', { choices: formats, default: 'text', describe: 'form of the output' }),
  async run({ workload, eras, mmu, format }) {
    const names = workload === undefined ? bundledWorkloads().map(({ name }) => name) : [workload as string];
    const workloads = names.map(loadWorkload);
    const reports = resolvePorts(eras as string).map((era) =>
      usesOf(
        era,
        workloads,
        everyWay(era).filter(({ kind }) => mmu === undefined || kind === mmu),
      ),
    );
    process.stdout.write(render(format as (typeof formats)[number], reports));
    return exit.ok;
  },
};

function render(format: (typeof formats)[number], reports: Parameters<typeof usesDocument>[0]): string {
  switch (format) {
    case 'json':
      return usesJson(reports);
    case 'csv':
      return usesCsv(reports);
    case 'md':
      return renderMarkdown(usesDocument(reports));
    case 'text':
      return renderText(usesDocument(reports));
  }
}

/** Every mode of the era, shadow paging under both vendors. */
const everyWay = (era: Era): HostOptions[] =>
  era.modes.flatMap(({ kind, implementation }): HostOptions[] =>
    kind === 'shadow'
      ? (['svm', 'vmx'] as const).map((vendor) => ({ kind, implementation: null, vendor }))
      : [{ kind, implementation, vendor: 'svm' as const }],
  );
