// SPDX-License-Identifier: GPL-2.0-only
import { Random } from '../page-stream.ts';
import { DATA, FRAMES, type Generator, hex, mistake, type Settings, seed } from './generator.ts';

const name = 'fork-exec';

/** What a shell does to its page tables all day: share, copy on write, map anew, unmap. */
export const forkExec: Generator = {
  name,
  summary: 'fork, copy on write, exec and exit as writes of page-table entries',
  options: [
    { name: 'forks', default: 8, min: 1, max: 64, meaning: 'forks of one round, each with its own draw' },
    { name: 'rounds', default: 5, min: 1, max: 1_000_000_000, meaning: 'times the same forks recur' },
    { name: 'children', default: 2, min: 1, max: 16, meaning: 'address spaces that children take in turn' },
    { name: 'pages', default: 8, min: 1, max: 64, meaning: 'pages of a process' },
    {
      name: 'cow',
      default: 3,
      min: 0,
      max: 64,
      meaning: 'pages that a child writes, and gets a copy of; drawn by seed',
    },
    { name: 'exec', default: 1, min: 0, max: 1, meaning: '1: the child then maps new pages over all of its old ones' },
    seed,
  ],
  lines,
};

interface Shape {
  readonly pages: number;
  readonly cow: number;
  readonly exec: boolean;
}

function lines(settings: Settings): string[] {
  const random = new Random(settings.number('seed'));
  const children = settings.number('children');
  const shape = { pages: settings.number('pages'), cow: settings.number('cow'), exec: settings.number('exec') === 1 };
  if (shape.cow > shape.pages) throw mistake(name, `cow=${shape.cow} of pages=${shape.pages}`, 'no more than pages');
  const spaces = Array.from({ length: children }, (_, i) => [
    `pt C${i} l4`,
    `ident C${i} g`,
    // Tables without present entries: fork fills them.
    `map C${i} ${hex(DATA)} 0x0 ${shape.pages} 4k z`,
  ]);
  const forks = Array.from({ length: settings.number('forks') }, (_, i) => fork(`C${i % children}`, shape, random));
  return [
    'pt P l4',
    'ident P g',
    `map P ${hex(DATA)} ${hex(FRAMES)} ${shape.pages} 4k pw`,
    ...spaces.flat(),
    'prot32',
    'enterlong P',
    'phase warm',
    `touchw ${hex(DATA)} ${shape.pages}`,
    'phase fork-exec',
    `repeat ${settings.number('rounds')}`,
    ...forks.flat(),
    'end',
    'phase done',
  ];
}

const gva = (page: number): string => hex(DATA + 0x1000 * page);
/** Frames of the parent, of copies, and of new programs follow one another. */
const frame = (kind: 0 | 1 | 2, page: number, { pages }: Shape): string => hex(FRAMES + 0x1000 * (kind * pages + page));

/** One child from fork to exit; parent and child are then as before. */
function fork(child: string, shape: Shape, random: Random): string[] {
  const all = Array.from({ length: shape.pages }, (_, page) => page);
  const copied = draw(all, shape.cow, random);
  const set = (tree: string, page: number, flags: string, kind: 0 | 1 | 2) =>
    `pte ${tree} ${gva(page)} 1 ${flags} ${frame(kind, page, shape)}`;
  return [
    // fork: both sides read-only.
    ...all.flatMap((page) => [set('P', page, 'p', 0), `invlpg ${gva(page)}`, set(child, page, 'p', 0)]),
    `cr3 ${child}`,
    // Copy on write: the first write faults, the entry gets the copy, the second write goes through.
    ...copied.flatMap((page) => [`w ${gva(page)}`, set(child, page, 'pw', 1), `invlpg ${gva(page)}`, `w ${gva(page)}`]),
    ...(shape.exec ? all.flatMap((page) => [set(child, page, 'pw', 2), `invlpg ${gva(page)}`, `w ${gva(page)}`]) : []),
    // exit: the child's entries go, the parent may write again.
    ...all.map((page) => `pte ${child} ${gva(page)} 1 0`),
    'cr3 P',
    ...all.flatMap((page) => [set('P', page, 'pw', 0), `invlpg ${gva(page)}`]),
    `touchw ${hex(DATA)} ${shape.pages}`,
  ];
}

/** `count` different ones, in the order drawn. */
function draw(from: readonly number[], count: number, random: Random): number[] {
  const left = [...from];
  return Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0]!);
}
