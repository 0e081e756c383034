// SPDX-License-Identifier: GPL-2.0-only
import type { FileResult, SectionResult } from '../conform/result.ts';
import { textTable } from './table.ts';

/** Conformance as a table of sections, then exclusions and the first failures in words. */
export function conformText(results: readonly FileResult[]): string {
  const sections = results.flatMap((result) => result.sections.map((section) => ({ result, section })));
  const table = textTable(
    ['file', 'era', 'section', 'passed', 'failed', 'excluded'],
    sections.map(({ result, section }) => [
      result.file,
      result.era,
      section.name,
      section.passed,
      section.failed,
      section.excluded,
    ]),
  );
  const notes = sections.flatMap(({ result, section }) => notesOf(result, section));
  const total = (pick: (section: SectionResult) => number) =>
    sections.reduce((sum, { section }) => sum + pick(section), 0);
  const summary = `${total((s) => s.passed)} passed, ${total((s) => s.failed)} failed, ${total((s) => s.excluded)} excluded in ${results.length} files`;
  return [table, ...notes, summary, ''].join('\n');
}

function notesOf(result: FileResult, section: SectionResult): string[] {
  const place = `${result.file} ${section.name}`;
  return [
    ...section.exclusions.map(({ reason, count }) => `${place}: ${count} excluded: ${reason}`),
    ...section.failures.map((failure) => `${place}: ${failure}`),
  ];
}

/** The same as one JSON document. */
export const conformJson = (results: readonly FileResult[]): string => `${JSON.stringify({ files: results })}\n`;
