// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import type { Workload } from '../../src/workload/ops.ts';
import { parseOps } from '../../src/workload/parse.ts';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const address = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(hex);
const page = fc.integer({ min: 0, max: 15 }).map((n) => hex(0x10000000 + 0x1000 * n));
const tree = fc.constantFrom('A', 'B');
const flags = fc.constantFrom('p', 'pw', 'pwu', 'pwun', 'pwadk3', 'pgCT', 'z');
const list = (words: fc.Arbitrary<string>) => fc.array(words, { maxLength: 3 }).map((each) => each.join(' '));
const text = (...parts: (string | fc.Arbitrary<string | number>)[]): fc.Arbitrary<string> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((all) => all.join(' ').trim());

/** Ops that code of any privilege may have. */
const anywhere = fc.oneof(
  text(fc.constantFrom('r', 'w', 'x'), address),
  text(fc.constantFrom('touchr', 'touchw'), address, fc.integer({ min: 1, max: 99 })),
  text('touchw', address, '7', fc.integer({ min: 0, max: 0x7fffffff }).map(hex)),
  text('bulk r', address, '64', fc.integer({ min: 1, max: 1e6 }), fc.constantFrom('uniform', 'zipf', 'seq'), 'seed=7'),
  text('wrpkru', fc.nat(0xffffffff).map(hex)),
  fc.constantFrom('stac', 'clac'),
);

/** Ops of ring 0 that leave the registers a loop must restore. */
const kernel = fc.oneof(
  text('cr3', tree, fc.constantFrom('', 'pcid=5', 'noflush', 'pwt', 'pcd', 'pcid=9 noflush', 'pwt pcd')),
  text('cr4try', list(fc.constantFrom('+PCIDE', '-PAE', '+LA57'))),
  text(
    'pte',
    tree,
    page,
    '1',
    flags,
    fc.nat(0xffff).map((n) => hex(0x400000 + 0x1000 * (n % 64))),
  ),
  text('pte', tree, page, fc.integer({ min: 1, max: 4 }), '0'),
  text('invlpg', address),
  text('invpcid', fc.nat(3), fc.constantFrom('', '5', '5 0xffff800000000000')),
  text(
    'vmcbset V',
    fc.nat(0xff).map((n) => hex(4 * n)),
    fc.constantFrom('4', '8'),
    fc.oneof(address, tree),
  ),
  text('vmrun V', fc.constantFrom('a', 'b')),
  text('vmentry W', fc.constantFrom('a', 'b')),
  text('phase', fc.constantFrom('one', 'two-2', '3')),
  text('memslot', fc.constantFrom('delete', 'move')),
  fc.constantFrom('smi', 'halt', 'cr0', 'efer +SCE -SCE'),
);

const lines = (op: fc.Arbitrary<string>) => fc.array(op, { maxLength: 4 });

/** Blocks of ops that end with the registers they began with. */
const { body } = fc.letrec<{ body: string[]; block: string[] }>((tie) => ({
  body: fc
    .array(
      fc.oneof(
        { maxDepth: 3, depthSize: 'small' },
        fc.oneof(anywhere, kernel).map((line) => [line]),
        tie('block'),
      ),
      {
        maxLength: 5,
      },
    )
    .map((parts) => parts.flat()),
  block: fc.oneof(
    fc
      .tuple(fc.integer({ min: 1, max: 0x7fffffff }), tie('body'))
      .map(([n, inner]) => [`repeat ${n}`, ...inner, 'end']),
    fc
      .tuple(fc.constantFrom('pcid', 'pku', 'la57', 'smep', 'smap', 'invpcid'), tie('body'))
      .map(([feature, inner]) => [`if ${feature}`, ...inner, 'endif']),
    lines(anywhere).map((inner) => ['user', ...inner, 'enduser']),
  ),
}));

const title = fc.constantFrom('', '# a title', '#another');
const setup = fc.constantFrom(
  [],
  ['smmphase in-smm'],
  ['pt P pae', 'ident P g', 'smmclear P'],
  ['pt F l5', 'map F 0x0 0x0 1 2m pw'],
);

/** A valid workload as a person might type it: every op, stray blanks, comments. */
export const workloadText: fc.Arbitrary<string> = fc
  .tuple(title, setup, body, body, fc.constantFrom('', ' ', '\t'), fc.constantFrom('', '  # why', '\r'))
  .map(([first, more, inside, other, before, after]) =>
    [
      first,
      'vcpus 2',
      ...['A', 'B'].flatMap((name) => [`pt ${name} l4`, `ident ${name}`, `map ${name} 0x10000000 0x400000 16 4k pw`]),
      'vmcb V 0x41000 A B 1',
      'vmcs W A B vpid=3',
      ...more,
      'real_r 0x600',
      'prot32',
      'enterlong A +PGE',
      'svmon',
      'l2 a',
      'r 0x10000000',
      'endl2',
      'l2 b',
      'cr0 -WP',
      'endl2',
      ...inside,
      'on 1',
      'prot32',
      'enterlong B',
      'svmon',
      ...other,
      'endon',
      'far32',
      'far64',
    ]
      .map((line) => (line.startsWith('#') ? line : `${before}${line}${after}`))
      .join('\n'),
  );

export const workload: fc.Arbitrary<Workload> = workloadText.map((each) => parseOps(each, 'any.ops'));
