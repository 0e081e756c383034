// SPDX-License-Identifier: GPL-2.0-only
import type { TopLevelSpec } from 'vega-lite';
import { htmlText } from './document.ts';

/** A chart as the drawing library takes it. */
export type VegaLiteSpec = object;

/** A picture that carries its own style, so that it follows the reader's light or dark setting where that is known. */
export type Svg = string;

/** Colours as the pictures have them; a dark setting exchanges them one by one. */
export const ink = '#1f2328';
export const paper = '#fefefe';
/** Wong's palette in an order that differs in lightness too: blue, orange, green. */
export const series: readonly string[] = ['#0072b2', '#e69f00', '#009e73'];
const grid = '#d0d7de';
/** A cell that says no. */
export const quiet = '#d6dbe1';

const dark: Readonly<Record<string, string>> = {
  [ink]: '#e6edf3',
  [paper]: '#161b22',
  [grid]: '#3d444d',
  [quiet]: '#30363d',
};

const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** What all charts share. Labels are measured by a formula, not by the fonts of this machine. */
export const baseConfig = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  background: paper,
  padding: 8,
  config: {
    font: 'sans-serif',
    aria: false,
    view: { stroke: null },
    axis: {
      labelColor: ink,
      titleColor: ink,
      gridColor: grid,
      domainColor: grid,
      tickColor: grid,
      labelFontSize: 12,
      titleFontSize: 12,
      titleFontWeight: 'normal',
      labelLimit: 240,
    },
    axisQuantitative: { tickCount: 5, tickMinStep: 1, format: 'd' },
    axisY: { ticks: false, domain: false, grid: false, labelPadding: 6 },
    header: { labelColor: ink, labelFontSize: 13, labelPadding: 2 },
    legend: { labelColor: ink, labelFontSize: 12, symbolType: 'square', labelLimit: 0 },
    text: { fontSize: 12 },
    facet: { spacing: 14 },
  },
} as const;

/** Draws one chart. The same chart gives the same bytes, whatever was drawn before and whatever fonts are here. */
export async function toSvg(spec: VegaLiteSpec, title: string): Promise<Svg> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  // Neither a canvas package that happens to be installed nor a font of this machine may change a byte.
  (vega as unknown as TextMetrics).textMetrics.width = ({ fontSize = 11 }, text) =>
    Math.round(0.62 * fontSize * longest(text));
  vega.resetSVGDefIds();
  const compiled = compile(spec as TopLevelSpec, { logger: silent(vega) }).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', logLevel: vega.Error });
  const svg = await view.toSVG();
  view.finalize();
  return finish(svg, title);
}

type Vega = typeof import('vega');

/** Exported by vega-scenegraph and passed on by vega, but not in its types. */
interface TextMetrics {
  readonly textMetrics: { width: (item: { readonly fontSize?: number }, text: unknown) => number };
}

const longest = (text: unknown): number =>
  Math.max(0, ...(Array.isArray(text) ? text : [text]).map((line) => String(line ?? '').length));

const silent = (vega: Vega) => vega.logger(vega.Error);

/** Shorter, with title and style. The picture scales with the page and is never wider than drawn. */
function finish(svg: string, title: string): Svg {
  const size = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg);
  if (!size) throw new Error('a chart without size');
  const [, width, height] = size;
  const inner = svg
    .slice(svg.indexOf('>') + 1, svg.lastIndexOf('</svg>'))
    .replaceAll(/ (font-family|class|role|aria-[a-z]+)="[^"]*"/g, '')
    .replaceAll(/ (opacity="1"|pointer-events="none"|font-size="12px"|transform="translate\(0,0\)")/g, '')
    .replaceAll(/<path d=""[^>]*\/>/g, '')
    .replaceAll(/translate\(([-\d.]+),([-\d.]+)\)/g, (_, x: string, y: string) => `translate(${short(x)},${short(y)})`);
  const rules = Object.entries(dark).flatMap(([light, other]) => [
    `.mmu-chart [fill="${light}"]{fill:${other}}`,
    `.mmu-chart [stroke="${light}"]{stroke:${other}}`,
  ]);
  const style = `<style>.mmu-chart{font-family:${font}}@media (prefers-color-scheme:dark){${rules.join('')}}</style>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="mmu-chart" role="img" font-size="12px" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${htmlText(title)}</title>${style}${inner}</svg>\n`,
  ].join('');
}

const short = (value: string): string => String(Math.round(Number(value) * 100) / 100);

/** Without the style, for a page that has it once. */
export const withoutStyle = (svg: Svg): string => svg.replace(/<style>.*?<\/style>/s, '').trimEnd();

/** The style of a picture, without its tags. */
export const styleOf = (svg: Svg): string => /<style>(.*?)<\/style>/s.exec(svg)?.[1] ?? '';
