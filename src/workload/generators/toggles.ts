// SPDX-License-Identifier: GPL-2.0-only
import { Random } from '../page-stream.ts';
import { DATA, FRAMES, type Generator, type GeneratorOption, hex, type Settings, seed } from './generator.ts';

const options: readonly GeneratorOption[] = [
  {
    name: 'iterations',
    default: 100,
    min: 1,
    max: 1_000_000_000,
    meaning: 'rounds, each of two register writes: off and on',
  },
  { name: 'pages', default: 32, min: 1, max: 4096, meaning: 'read-only pages mapped, and read once before' },
  {
    name: 'touches',
    default: 0,
    min: 0,
    max: 64,
    meaning: 'pages written while the bit is off and read after it is on again, in each round; drawn by seed',
  },
  seed,
];

/**
 * The loops of the same name in x86/vmexit.c of kvm-unit-tests: nothing but writes of one register that flip one bit,
 * which is what `touches=0` gives.
 */
export const toggleCr0Wp: Generator = {
  name: 'toggle_cr0_wp',
  summary: 'CR0.WP off and on in long mode',
  options,
  lines: (settings) => toggle(settings, { off: 'cr0 -WP', on: 'cr0 +WP', flags: 'p' }),
};

export const toggleCr4Pge: Generator = {
  name: 'toggle_cr4_pge',
  summary: 'CR4.PGE off and on in long mode',
  options,
  lines: (settings) => toggle(settings, { off: 'cr4 -PGE', on: 'cr4 +PGE', flags: 'pwg' }),
};

function toggle(settings: Settings, { off, on, flags }: { off: string; on: string; flags: string }): string[] {
  const random = new Random(settings.number('seed'));
  const pages = settings.number('pages');
  const touched = Array.from({ length: settings.number('touches') }, () => hex(DATA + 0x1000 * random.below(pages)));
  return [
    'pt A l4',
    'ident A g',
    `map A ${hex(DATA)} ${hex(FRAMES)} ${pages} 4k ${flags}`,
    'prot32',
    'enterlong A',
    // Already on for WP; the write then changes nothing.
    on,
    'phase warm',
    `touchr ${hex(DATA)} ${pages}`,
    'phase toggle',
    `repeat ${settings.number('iterations')}`,
    off,
    ...touched.map((page) => `w ${page}`),
    on,
    ...touched.map((page) => `r ${page}`),
    'end',
    'phase done',
  ];
}
