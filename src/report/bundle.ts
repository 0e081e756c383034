// SPDX-License-Identifier: GPL-2.0-only
import type { ReportModel } from '../replay/report-model.ts';
import { drawCharts } from './charts.ts';
import { renderMarkdown } from './document.ts';
import { renderHtml } from './html.ts';
import { reportDocument } from './report.ts';

/** Every face of a report, by file name below its folder. */
export async function reportFiles(model: ReportModel): Promise<ReadonlyMap<string, string>> {
  const charts = await drawCharts(model);
  const pictures = new Map(
    [...charts.rootLoads, ...charts.walkCost, ...charts.roleMaps].map(({ file, svg }) => [file, svg] as const),
  );
  const document = reportDocument(model, charts);
  return new Map([
    ['index.html', renderHtml(document, pictures)],
    ['report.md', renderMarkdown(document)],
    ['report.json', `${JSON.stringify(model, null, 1)}\n`],
    ...pictures,
  ]);
}
