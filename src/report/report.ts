// SPDX-License-Identifier: GPL-2.0-only
import type { ReportModel, WorkloadReport } from '../replay/report-model.ts';
import type { SummaryCell, SummaryRow } from '../replay/report-summary.ts';
import type { ReportCharts } from './charts.ts';
import { anchorOf, type Block, chart, code, escaped, heading, list, table, text } from './document.ts';
import { eraLabel, eraName } from './era-label.ts';
import { eraBlocks } from './report-eras.ts';
import { sectionBlocks } from './report-section.ts';
import type { Cell } from './table.ts';

/** A report as a document: overview, workloads, role bits, eras. */
export function reportDocument(model: ReportModel, charts: ReportCharts): Block[] {
  return [
    heading(1, 'KVM MMU roles and roots'),
    text(introduction(model)),
    ...(model.workloads.length > 1 ? overviewBlocks(model) : []),
    heading(2, 'How to read this'),
    list(legend(model)),
    ...model.workloads.flatMap((workload, index) => workloadBlocks(model, workload, charts, index)),
    ...roleMapBlocks(model, charts),
    ...eraBlocks(model.eras),
  ];
}

function introduction({ eras, workloads, mmus }: ReportModel): string {
  const names = workloads.map(({ name }) => `[${escaped(name)}](#${anchorOf(workloadTitle(name))})`).join(', ');
  const ran = eras.filter(({ replayed }) => replayed).map(({ id }) => eraName(eras, id));
  return [
    `${plural(workloads.length, 'guest workload')}, replayed under the MMU role code of ${plural(ran.length, 'era')}`,
    `(${ran.join(', ')}) with ${plural(mmus.length, 'kind')} of MMU (${mmus.map(({ label }) => label).join('; ')}).`,
    `Workloads: ${names}.`,
  ].join(' ');
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function legend({ eras }: ReportModel): string[] {
  const untold = eras.filter(({ replayed }) => !replayed).map(({ id }) => eraName(eras, id));
  const proposed = eras.filter(({ status }) => status === 'proposed');
  return [
    '**Root loads** count `kvm_mmu_load`: the current root was invalid at guest entry, so a root was built or found. **Full unloads** count the times at which every root of `root_mmu` was freed at once. Both are those of a whole VM, with what its creation and its end unload.',
    'A summary cell reads *root loads / full unloads*. Each of the two is **bold** where it differs from that of the era named under *against*: the nearest earlier one of this report from which this one comes. Where that era lacks the MMU, the cell is compared with one before it, which it names, or with none.',
    'Rows name the eras that agree in all of the row. Line numbers are those of the workload.',
    '*Because of* names the register bits, or the other cause, that the function looked at.',
    '*No root load*: the next guest entry ran with a root that was there, the same one or one found in the cache of previous roots.',
    'Fields of a role that are not listed are 0; `ext.` marks the extended half. Each word is read with the layout of its own era.',
    'Walk cost is counted in table entries that hardware reads. These are counts, not cycles.',
    ...proposed.map(
      ({ id }) => `${code(id)} is a proposed series that was never merged: no kernel ever behaved like this.`,
    ),
    ...(untold.length > 0 ? [`Told below but not replayed, for want of a port: ${untold.join(', ')}.`] : []),
  ];
}

const workloadTitle = (name: string): string => `Workload ${escaped(name)}`;

function overviewBlocks({ eras, mmus, workloads }: ReportModel): Block[] {
  const rows = workloads.flatMap(({ name, summary }) =>
    mmus.map(({ label }, mmu) => [
      `[${escaped(name)}](#${anchorOf(workloadTitle(name))})`,
      label,
      ...summary.map((row) => summaryText(eras, row, row.cells[mmu]!)),
    ]),
  );
  return [
    heading(2, 'Overview'),
    text(
      'Root loads / full unloads. Each of the two is **bold** where it differs from that of the era that the head of its column names behind *against*.',
    ),
    table(['workload', 'MMU', ...workloads[0]!.summary.map((row) => columnHead(eras, row))], rows),
  ];
}

const columnHead = (eras: ReportModel['eras'], { era, follows }: SummaryRow): string =>
  follows === null ? eraLabel(eras, era) : `${eraLabel(eras, era)} *against ${eraLabel(eras, follows)}*`;

function summaryText(eras: ReportModel['eras'], { follows }: SummaryRow, cell: SummaryCell): Cell {
  if ('unavailable' in cell) return 'not in this era';
  const { loads, unloads, before } = cell;
  if (before === null) return `${loads} / ${unloads}`;
  const figure = (now: number, earlier: number): string => (now === earlier ? `${now}` : `**${now}**`);
  const figures = `${figure(loads, before.loads)} / ${figure(unloads, before.unloads)}`;
  return before.era === follows ? figures : `${figures} (against ${eraLabel(eras, before.era)})`;
}

function workloadBlocks(model: ReportModel, workload: WorkloadReport, charts: ReportCharts, index: number): Block[] {
  const { eras, mmus } = model;
  const { name, title, summary, sections } = workload;
  const matrix = table(
    ['era', 'against', ...mmus.map(({ label }) => label)],
    summary.map((row) => [
      eraName(eras, row.era),
      row.follows === null ? 'nothing' : eraLabel(eras, row.follows),
      ...row.cells.map((cell) => summaryText(eras, row, cell)),
    ]),
  );
  const pictures = [charts.rootLoads[index], charts.walkCost[index]].filter((picture) => picture !== undefined);
  return [
    heading(2, workloadTitle(name)),
    ...(title === '' ? [] : [text(escaped(title))]),
    text('Root loads / full unloads, each **bold** where it differs from that of the era under *against*:'),
    matrix,
    ...pictures.map(({ file, caption }) => chart(file, escaped(caption))),
    ...sections.flatMap((section) => sectionBlocks(eras, name, section)),
  ];
}

function roleMapBlocks({ roleMaps }: ReportModel, { roleMaps: pictures }: ReportCharts): Block[] {
  if (roleMaps.length === 0) return [];
  return [
    heading(2, 'Role bits'),
    text(
      [
        'The role word in force at most guest entries of all workloads together, field by field.',
        'Above each column: era, word, and how many of its guest entries had this word.',
        'Names are the newest ones; where an era has an older name, its cell says which; *inv.* marks a name that says the opposite of the newest.',
      ].join(' '),
    ),
    ...roleMaps.flatMap(({ label }, index) => {
      const { file, caption } = pictures[index]!;
      const picture = chart(file, escaped(caption));
      return label === roleMaps[index - 1]?.label ? [picture] : [heading(3, `Role bits: ${label}`), picture];
    }),
  ];
}
