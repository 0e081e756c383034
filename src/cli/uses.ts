// SPDX-License-Identifier: GPL-2.0-only
import { loadPorts } from '../replay/ports.ts';
import type { UsesReport } from '../replay/uses.ts';
import { everyWay, usesOf } from '../replay/uses.ts';
import { renderMarkdown } from '../report/document.ts';
import { usesCsv, usesJson, usesMarkdown, usesText } from '../report/uses.ts';
import { bundledWorkloads } from '../workload/bundled.ts';
import type { Command } from './commands.ts';
import { exit } from './exit.ts';
import { linked } from './facts/linked.ts';
import { standardOutput } from './facts/options.ts';
import type { Output } from './terminal.ts';
import { workloadsNamed } from './workload-input.ts';

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
      .option('format', {
        choices: formats,
        default: 'text',
        describe: 'form of the output; all but text hold addresses',
      }),
  async run({ workload, eras, mmu, format }) {
    const names = workload === undefined ? bundledWorkloads().map(({ name }) => name) : [workload as string];
    const workloads = await workloadsNamed(names);
    const reports = (await loadPorts(eras as string)).map((era) =>
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

function render(format: (typeof formats)[number], reports: readonly UsesReport[]): string {
  switch (format) {
    case 'json':
      return usesJson(reports);
    case 'csv':
      return usesCsv(reports);
    case 'md':
      return renderMarkdown(usesMarkdown(reports));
    case 'text':
      return asText(reports, standardOutput());
  }
}

/** Titles are links on a terminal; elsewhere the addresses would make the table too wide, other formats have them. */
function asText(reports: readonly UsesReport[], output: Output): string {
  const link = (title: string, url: string): string => (output.hyperlinks ? output.link(title, url) : title);
  return linked(
    usesText(reports, { width: output.width, link }),
    output,
    reports.map(({ era }) => era),
  );
}
