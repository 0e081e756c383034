// SPDX-License-Identifier: GPL-2.0-only
import { Random } from '../page-stream.ts';
import { DATA, FRAMES, type Generator, hex, mistake, type Settings, seed } from './generator.ts';

const name = 'nested-pingpong';
/** Guest-physical address of the pages that L2 maps. */
const L2_FRAMES = 0x800000;

/** An L1 hypervisor that enters its guests and leaves them again (SVM). */
export const nestedPingpong: Generator = {
  name,
  summary: 'VMRUN and exit in turn, with touches in L2 and L1 (SVM)',
  options: [
    { name: 'rounds', default: 50, min: 1, max: 1_000_000_000, meaning: 'times every guest is run' },
    { name: 'guests', default: 1, min: 1, max: 3, meaning: 'L2 guests, each with tables and a VMCB of its own' },
    { name: 'pages', default: 32, min: 1, max: 512, meaning: 'data pages of each L2, and of L1' },
    { name: 'touches', default: 4, min: 0, max: 64, meaning: 'pages read in L2 each time; drawn by seed' },
    { name: 'l1-touches', default: 4, min: 0, max: 64, meaning: 'pages read in L1 between; drawn by seed' },
    { name: 'toggles', default: 0, min: 0, max: 1000, meaning: 'CR0.WP off and on inside L2 each time' },
    { name: 'npt', default: 1, min: 0, max: 1, meaning: '1: L1 uses nested paging, 0: it does not' },
    seed,
  ],
  lines,
};

function lines(settings: Settings): string[] {
  const random = new Random(settings.number('seed'));
  const pages = settings.number('pages');
  const guests = Array.from({ length: settings.number('guests') }, (_, i) => i);
  const npt = settings.number('npt') === 1;
  if (guests.length * pages > 1024)
    throw mistake(name, `guests=${guests.length} with pages=${pages}`, 'at most 1024 pages');
  const reads = (count: number) => Array.from({ length: count }, () => `r ${hex(DATA + 0x1000 * random.below(pages))}`);
  const blocks = guests.map((i) => [
    `l2 guest${i}`,
    ...reads(settings.number('touches')),
    ...toggles(settings),
    'endl2',
  ]);
  return [
    'pt A l4',
    'ident A',
    `map A ${hex(DATA)} ${hex(FRAMES)} ${pages} 4k pw`,
    ...guests.flatMap((i) => guest(i, pages, npt)),
    'prot32',
    'enterlong A',
    'phase l1-warm',
    `touchr ${hex(DATA)} ${pages}`,
    'svmon',
    'phase pingpong',
    `repeat ${settings.number('rounds')}`,
    ...blocks.flatMap((block, i) => [...block, `vmrun V${i} guest${i}`, ...reads(settings.number('l1-touches'))]),
    'end',
    'phase done',
  ];
}

/** Trees and VMCB of one L2. Without nested paging its tables are the ones the hardware walks. */
const guest = (i: number, pages: number, npt: boolean): string[] => [
  `pt G${i} l4`,
  `ident G${i}`,
  `map G${i} ${hex(DATA)} ${hex(L2_FRAMES + 0x1000 * pages * i)} ${pages} 4k pw`,
  ...(npt
    ? [
        `pt N${i} l4`,
        `map N${i} 0x0 0x0 512 4k pwu`,
        `map N${i} ${hex(L2_FRAMES + 0x1000 * pages * i)} ${hex(L2_FRAMES + 0x1000 * pages * i)} ${pages} 4k pwu`,
      ]
    : []),
  `vmcb V${i} ${hex(0x41000 + 0x1000 * i)} G${i} ${npt ? `N${i}` : '-'} ${i + 1}`,
];

function toggles(settings: Settings): string[] {
  const count = settings.number('toggles');
  return count === 0 ? [] : [`repeat ${count}`, 'cr0 -WP', 'cr0 +WP', 'end'];
}
