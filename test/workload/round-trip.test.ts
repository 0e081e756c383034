// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bundledWorkloads, loadWorkload } from '../../src/workload/bundled.ts';
import { fromJsonl } from '../../src/workload/from-jsonl.ts';
import { buildImage } from '../../src/workload/image.ts';
import { toJsonl } from '../../src/workload/jsonl.ts';
import { isBlock, type Op, type Workload } from '../../src/workload/ops.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { printOps } from '../../src/workload/print.ts';
import { workload, workloadText } from './arbitrary.ts';

/** The ops without their lines, which move when comments go. */
function withoutLines(ops: readonly Op[]): unknown[] {
  return ops.map((op) => {
    const { line: _line, ...rest } = op;
    if (!isBlock(op)) return rest;
    const { endLine: _endLine, ...block } = rest as typeof rest & { endLine: number };
    return { ...block, body: withoutLines(op.body) };
  });
}

const unplaced = ({ ops, ...rest }: Workload): unknown => ({ ...rest, ops: withoutLines(ops) });

describe('text', () => {
  test('parsing what was printed gives the same workload', () => {
    fc.assert(
      fc.property(workload, (each) => {
        const again = parseOps(printOps(each), 'any.ops');
        expect(unplaced(again)).toEqual(unplaced(each));
        // Once canonical, lines too.
        expect(parseOps(printOps(again), 'any.ops')).toEqual(again);
      }),
      { numRuns: 200 },
    );
  });

  test('canonical text is printed as it was', () => {
    fc.assert(
      fc.property(workload, (each) => {
        const text = printOps(each);
        expect(printOps(parseOps(text, 'any.ops'))).toBe(text);
      }),
      { numRuns: 100 },
    );
  });

  test('blanks and comments make no difference to the guest', () => {
    fc.assert(
      fc.property(workloadText, (text) => {
        const bare = text.replace(/\s*(#.*|\r)?$/gm, '').replace(/^[ \t]+/gm, '');
        const [one, other] = [text, bare].map((each) => buildImage(parseOps(each, 'any.ops')));
        expect(one).toEqual(other);
      }),
      { numRuns: 50 },
    );
  });
});

describe('JSONL', () => {
  test('there and back gives the same workload, lines included', () => {
    fc.assert(
      fc.property(workload, (each) => {
        expect(fromJsonl(toJsonl(each), 'other.jsonl')).toEqual(each);
      }),
      { numRuns: 200 },
    );
  });

  test('back and there gives the same text', () => {
    fc.assert(
      fc.property(workload.map(toJsonl), (text) => {
        expect(toJsonl(fromJsonl(text, 'any.jsonl'))).toBe(text);
      }),
      { numRuns: 100 },
    );
  });
});

test.each(bundledWorkloads())('$name survives text and JSONL', ({ name }) => {
  const original = loadWorkload(name);
  expect(unplaced(parseOps(printOps(original), `${name}.ops`))).toEqual(unplaced(original));
  expect(fromJsonl(toJsonl(original), 'x.jsonl')).toEqual(original);
});

test('the canonical form: hexadecimal addresses, decimal counts, options in order', () => {
  const text =
    'pt N l4\nmap   N 0 0 0x10 4k pwu\nprot32\nenterlong N +PGE\ncr3 N pcd noflush pcid=0x7\ntouchr 4096 2 4096\n';
  expect(printOps(parseOps(text, 'x.ops'))).toBe(
    'pt N l4\nmap N 0x0 0x0 16 4k pwu\nprot32\nenterlong N +PGE\ncr3 N pcid=7 noflush pcd\ntouchr 0x1000 2 0x1000\n',
  );
});
