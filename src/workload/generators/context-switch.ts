// SPDX-License-Identifier: GPL-2.0-only
import { PageStream, Random } from '../page-stream.ts';
import { DATA, FRAMES, type Generator, hex, mistake, RAM_END, type Settings, seed } from './generator.ts';

const name = 'context-switch';

/** Processes that take turns, each with its own pages at the same addresses. */
export const contextSwitch: Generator = {
  name,
  summary: 'CR3 switches between processes that touch pages of their own',
  options: [
    { name: 'processes', default: 4, min: 1, max: 24, meaning: 'address spaces' },
    { name: 'pages', default: 16, min: 1, max: 512, meaning: 'private pages of each' },
    { name: 'touches', default: 8, min: 0, max: 512, meaning: 'consecutive pages written after each switch' },
    { name: 'switches', default: 64, min: 1, max: 1024, meaning: 'switches of one round' },
    { name: 'rounds', default: 10, min: 1, max: 1_000_000_000, meaning: 'times the same switches recur' },
    {
      name: 'order',
      default: 'round-robin',
      choices: ['round-robin', 'zipf'],
      meaning: 'who is next: each in turn, or drawn by seed so that few run most of the time',
    },
    {
      name: 'pcid',
      default: 0,
      min: 0,
      max: 1,
      meaning: '1: PCIDs and switches without flush, where the CPU has them',
    },
    seed,
  ],
  lines,
};

function lines(settings: Settings): string[] {
  const [processes, pages, touches] = ['processes', 'pages', 'touches'].map((each) => settings.number(each)) as [
    number,
    number,
    number,
  ];
  const frames = processes * pages;
  if (FRAMES + 0x1000 * frames > RAM_END) {
    const most = Math.floor((RAM_END - FRAMES) / 0x1000 / processes);
    throw mistake(
      name,
      `processes=${processes} with pages=${pages} needs ${frames} frames`,
      'at most 7168',
      `pages=${most}`,
    );
  }
  if (touches > pages) throw mistake(name, `touches=${touches} of pages=${pages}`, 'no more touches than pages');
  const turns = turnsOf(settings, processes, pages - touches + 1);
  const switches = (suffix: (process: number) => string) =>
    turns.flatMap(({ process, first }) => [
      `cr3 P${process}${suffix(process)}`,
      ...(touches > 0 ? [`touchw ${hex(DATA + 0x1000 * first)} ${touches}`] : []),
    ]);
  const loop = (phase: string, body: string[]) => [
    `phase ${phase}`,
    `repeat ${settings.number('rounds')}`,
    ...body,
    'end',
  ];
  const withPcid = [
    'if pcid',
    'cr3 P0',
    'cr4 +PCIDE',
    ...loop(
      'switch-pcid',
      switches((process) => ` pcid=${process + 1} noflush`),
    ),
    'cr3 P0',
    'cr4 -PCIDE',
    'endif',
  ];
  return [
    ...Array.from({ length: processes }, (_, i) => spaceOf(i, pages)).flat(),
    'prot32',
    'enterlong P0',
    'phase first',
    ...Array.from({ length: processes }, (_, i) => [`cr3 P${i}`, `touchw ${hex(DATA)} ${pages}`]).flat(),
    ...loop(
      'switch',
      switches(() => ''),
    ),
    ...(settings.number('pcid') === 1 ? withPcid : []),
    'phase done',
  ];
}

const spaceOf = (i: number, pages: number): string[] => [
  `pt P${i} l4`,
  `ident P${i} g`,
  `map P${i} ${hex(DATA)} ${hex(FRAMES + 0x1000 * pages * i)} ${pages} 4k pw`,
];

/** Who runs, and the first page it touches. */
function turnsOf(settings: Settings, processes: number, starts: number): { process: number; first: number }[] {
  const seedNumber = settings.number('seed');
  const random = new Random(seedNumber);
  const zipf = new PageStream({ pages: processes, distribution: 'zipf', seed: seedNumber });
  const drawn = settings.word('order') === 'zipf';
  return Array.from({ length: settings.number('switches') }, (_, i) => ({
    process: drawn ? zipf.next() : i % processes,
    first: random.below(starts),
  }));
}
