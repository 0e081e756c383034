// SPDX-License-Identifier: GPL-2.0-only

import type { EraPage } from '../facts/reading.ts';
import type { ReportModel } from '../replay/report-model.ts';
import { drawCharts } from './charts.ts';
import { renderMarkdown } from './document.ts';
import { eraPageDocument } from './era-page.ts';
import { renderHtml } from './html.ts';
import { reportDocument } from './report.ts';

/** Every face of a report, by file name below its folder; `pages` are the readings of its eras. */
export async function reportFiles(model: ReportModel, pages: readonly EraPage[]): Promise<ReadonlyMap<string, string>> {
  const charts = await drawCharts(model);
  const pictures = new Map(
    [...charts.rootLoads, ...charts.walkCost, ...charts.roleMaps].map(({ file, svg }) => [file, svg] as const),
  );
  const readings = pages.map((page) => {
    const { page: file } = model.eras.find(({ id }) => id === page.era.id)!;
    return [file, renderHtml(eraPageDocument(page), new Map())] as const;
  });
  const document = reportDocument(model, charts);
  return new Map([
    ['index.html', renderHtml(document, pictures)],
    ['report.md', renderMarkdown(document)],
    ['report.json', `${JSON.stringify(model, null, 1)}\n`],
    ...readings,
    ...pictures,
  ]);
}
