// SPDX-License-Identifier: GPL-2.0-only
import type { ReportModel, WorkloadReport } from '../replay/report-model.ts';
import type { RoleMap } from '../replay/report-roles.ts';
import { eraLabel } from './era-label.ts';
import { baseConfig, ink, paper, quiet, type Svg, series, toSvg, type VegaLiteSpec } from './svg.ts';

/** A chart: its file below the report's folder, what it shows in words, and the picture. */
export interface Chart {
  readonly file: string;
  readonly caption: string;
  readonly svg: Svg;
}

/** The charts of a report. */
export interface ReportCharts {
  /** By workload, in the order of the model. */
  readonly rootLoads: readonly Chart[];
  readonly walkCost: readonly Chart[];
  /** By role map, in the order of the model. */
  readonly roleMaps: readonly Chart[];
}

/** Draws everything. The drawing library is loaded here and nowhere else: it costs more than all the rest. */
export async function drawCharts(model: ReportModel): Promise<ReportCharts> {
  const rootLoads: Chart[] = [];
  const walkCost: Chart[] = [];
  const roleMaps: Chart[] = [];
  const names = fileNames(model.workloads.map(({ name }) => name));
  for (const [index, workload] of model.workloads.entries()) {
    const caption = `Root loads of ${workload.name}, by MMU kind and era`;
    rootLoads.push(await draw(`${names[index]}-root-loads`, caption, rootLoadsSpec(model, workload)));
    const costCaption = `Table entries that hardware read in page walks of ${workload.name}, by MMU kind and era`;
    walkCost.push(await draw(`${names[index]}-walk-cost`, costCaption, walkCostSpec(model, workload)));
  }
  const mapNames = fileNames(model.roleMaps.map(({ mode, purpose }) => `roles-${mode}-${purpose.replace(' ', '-')}`));
  for (const [index, map] of model.roleMaps.entries()) {
    roleMaps.push(await draw(mapNames[index]!, roleMapCaption(map), roleMapSpec(model, map)));
  }
  return { rootLoads, walkCost, roleMaps };
}

async function draw(name: string, caption: string, spec: VegaLiteSpec): Promise<Chart> {
  return { file: `charts/${name}.svg`, caption, svg: await toSvg(spec, caption) };
}

/** Names that are safe as file names; a repeated one gets a number. */
function fileNames(names: readonly string[]): string[] {
  const used = new Map<string, number>();
  return names.map((name) => {
    const safe = name
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, '-')
      .slice(0, 60);
    const times = (used.get(safe) ?? 0) + 1;
    used.set(safe, times);
    return times === 1 ? safe : `${safe}-${times}`;
  });
}

/** One bar an era, one group an MMU kind. Colour says nothing that the labels do not. */
function rootLoadsSpec({ mmus, eras }: ReportModel, { summary }: WorkloadReport): VegaLiteSpec {
  const values = mmus.flatMap(({ label }, column) =>
    summary.map(({ era: id, cells }) => {
      const era = eraLabel(eras, id);
      const cell = cells[column]!;
      return 'unavailable' in cell
        ? { mmu: label, era, value: 0, text: 'not in this era' }
        : { mmu: label, era, value: cell.loads, text: String(cell.loads) };
    }),
  );
  const y = eraAxis;
  const x = { field: 'value', type: 'quantitative', title: 'root loads' };
  return barChart({
    values,
    order: mmus.map(({ label }) => label),
    layer: [
      { mark: { type: 'bar', color: series[0] }, encoding: { y, x } },
      {
        mark: { type: 'text', align: 'left', dx: 4, color: ink },
        encoding: { y, x, text: { field: 'text' } },
      },
    ],
  });
}

const dimensions = [
  { counter: 'reads_guest', label: "guest: the guest's own tables", short: 'guest' },
  { counter: 'reads_nested', label: 'nested: NPT or EPT tables', short: 'nested' },
  { counter: 'reads_shadow', label: 'shadow: shadow tables', short: 'shadow' },
] as const;

/** Bars stacked by dimension; the shares stand behind each bar in the order of the stack, so that nobody needs the colours. */
function walkCostSpec({ eras: told }: ReportModel, { sections }: WorkloadReport): VegaLiteSpec {
  const bars = sections.flatMap(({ mmu, eras, cost }) =>
    eras.map((era, column) => ({
      mmu: mmu.label,
      era: eraLabel(told, era),
      shares: dimensions.map(({ counter, label, short }, order) => ({
        label,
        short,
        order,
        value: cost.find(({ name }) => name === counter)!.values[column]!,
      })),
    })),
  );
  const values = bars.flatMap(({ mmu, era, shares }) => {
    const text = shares
      .filter(({ value }) => value > 0)
      .map(({ short, value }) => `${short} ${value}`)
      .join(' + ');
    const sum = shares.reduce((total, { value }) => total + value, 0);
    return shares.map((share) => ({ mmu, era, ...share, sum, text: text === '' ? '0' : text }));
  });
  const y = eraAxis;
  return barChart({
    values,
    order: sections.filter(({ eras }) => eras.length > 0).map(({ mmu }) => mmu.label),
    layer: [
      {
        transform: [{ filter: 'datum.value > 0' }],
        mark: { type: 'bar', stroke: paper, strokeWidth: 1 },
        encoding: {
          y,
          x: { field: 'value', type: 'quantitative', title: 'table entries read' },
          color: {
            field: 'label',
            type: 'nominal',
            scale: { domain: dimensions.map(({ label }) => label), range: series },
            legend: { title: null, orient: 'top' },
          },
          order: { field: 'order', type: 'quantitative' },
        },
      },
      {
        transform: [{ filter: 'datum.order === 0' }],
        mark: { type: 'text', align: 'left', dx: 4, color: ink },
        encoding: { y, x: { field: 'sum', type: 'quantitative' }, text: { field: 'text' } },
      },
    ],
  });
}

const eraAxis = { field: 'era', type: 'nominal', sort: null, title: null };

interface Bars {
  readonly values: readonly object[];
  /** Labels of the groups, first on top. */
  readonly order: readonly string[];
  readonly layer: readonly object[];
}

const barChart = ({ values, order, layer }: Bars): VegaLiteSpec => ({
  ...baseConfig,
  data: { values },
  facet: {
    row: {
      field: 'mmu',
      type: 'nominal',
      sort: order,
      title: null,
      header: { labelAngle: 0, labelOrient: 'top', labelAnchor: 'start', labelFontWeight: 'bold' },
    },
  },
  spec: { width: 380, height: { step: 18 }, layer },
  resolve: { scale: { y: 'independent' } },
});

/** What a role map shows, in words. */
export function roleMapCaption({ label, purpose, columns }: RoleMap): string {
  const words = [...new Set(columns.map(({ word }) => word))].join(', ');
  const what = purpose === 'tables' ? "Role of KVM's tables" : "Role of the guest's paging mode";
  return `${what} (${words}), the word in force at most guest entries, under ${label}`;
}

/** One column an era, one row a field. Every cell says its value; a field under an older name of opposite meaning says which. */
function roleMapSpec({ eras }: ReportModel, { columns: ofEras, rows }: RoleMap): VegaLiteSpec {
  const columns = ofEras.map(({ era, hex, entries, allEntries }) => [
    era,
    hex,
    `${entries} of ${allEntries}`,
    eras.find(({ id }) => id === era)?.status === 'proposed' ? 'never merged' : '',
  ]);
  const values = rows.flatMap(({ name, cells }) =>
    cells.map((cell, column) => {
      const place = { name, column: columns[column]!.join('\n') };
      if (!cell) return { ...place, state: 'not in this layout', text: '–' };
      const renamed = cell.field === name ? '' : `${cell.field} `;
      const state = (cell.value !== 0) !== cell.inverted ? 'set' : 'clear';
      return {
        ...place,
        state,
        text: cell.inverted ? `${renamed}${cell.value}, inv.` : `${renamed}${cell.value}`,
      };
    }),
  );
  const widest = Math.max(...values.map(({ text }) => text.length), ...columns.flat().map(({ length }) => length));
  const encoding = {
    x: {
      field: 'column',
      type: 'nominal',
      sort: null,
      title: null,
      scale: { paddingInner: 0.02, paddingOuter: 0 },
      axis: {
        orient: 'top',
        labelAngle: 0,
        labelExpr: "split(datum.label, '\\n')",
        labelLimit: 0,
        // The first of four lines stands at the anchor.
        labelPadding: 50,
        ticks: false,
        domain: false,
      },
    },
    y: { field: 'name', type: 'nominal', sort: null, title: null, scale: { paddingInner: 0.1, paddingOuter: 0 } },
  };
  return {
    ...baseConfig,
    data: { values },
    width: { step: Math.max(64, widest * 7.2 + 12) },
    height: { step: 18 },
    layer: [
      {
        mark: { type: 'rect' },
        encoding: {
          ...encoding,
          color: {
            field: 'state',
            type: 'nominal',
            scale: { domain: ['set', 'clear', 'not in this layout'], range: [series[0], quiet, paper] },
            legend: { title: null, orient: 'bottom', symbolStrokeColor: ink, symbolStrokeWidth: 1 },
          },
        },
      },
      {
        mark: { type: 'text' },
        encoding: {
          ...encoding,
          text: { field: 'text' },
          color: {
            condition: [{ test: "datum.state === 'set'", value: '#ffffff' }],
            value: ink,
          },
        },
      },
    ],
  };
}
