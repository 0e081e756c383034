// SPDX-License-Identifier: GPL-2.0-only
/** What a workload and a trace can both say is the same in both; what one cannot say is told. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { UserError } from '../../src/errors.ts';
import { isAvailable, type ReplayRecord } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { convertFile } from '../../src/trace/convert/convert.ts';
import { fromOps } from '../../src/trace/convert/from-ops.ts';
import { toOps } from '../../src/trace/convert/to-ops.ts';
import { CR3_NOFLUSH, EDIT_FLAG, EVENT, editWord, pageWord } from '../../src/trace/events.ts';
import { withTrace } from '../../src/trace/files.ts';
import type { TracePiece } from '../../src/trace/reader.ts';
import { replayTrace } from '../../src/trace/replay-file.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';
import type { Workload } from '../../src/workload/ops.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { fileOf, header } from './memory-file.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const plain = { lossy: false, salvage: false, from: 0, count: Number.POSITIVE_INFINITY };
const someEras = eras.filter(({ id }) => ['base-role', 'v5.10', 'cpu-role', 'v7.3'].includes(id));

function recordOf(era: (typeof eras)[number], workload: Workload, kind: 'npt' | 'shadow'): ReplayRecord {
  const result = replay(era, workload, { kind, implementation: null, vendor: 'svm' });
  if (!isAvailable(result)) throw new Error(result.unavailable);
  return result;
}

async function* numbered(pieces: Iterable<{ words: Int32Array; count: number }>): AsyncGenerator<TracePiece> {
  let firstEvent = 0;
  for (const piece of pieces) {
    yield { ...piece, firstEvent };
    firstEvent += piece.count;
  }
}

/** Ops that a trace can say, one event each; the data is above 4 GiB, so that the guest runs 64-bit code. */
const page = fc.nat({ max: 39 }).map((n) => `0x7f00000${n.toString(16).padStart(2, '0')}000`);
const accessOp = fc.tuple(fc.constantFrom('r', 'w', 'x'), page).map((words) => words.join(' '));
const ringZeroOp = fc.oneof(
  { weight: 8, arbitrary: accessOp },
  { weight: 2, arbitrary: fc.constantFrom('cr0 -WP', 'cr0 +WP', 'cr0', 'cr0 +TS', 'cr4 +PGE', 'cr4 -PGE', 'efer -NX') },
  { weight: 2, arbitrary: fc.constantFrom('cr3 S0', 'cr3 S1', 'phase one', 'phase two', 'efer +NX') },
  { weight: 1, arbitrary: page.map((gva) => `invlpg ${gva}`) },
  { weight: 1, arbitrary: fc.array(accessOp, { maxLength: 3 }).map((ops) => ['user', ...ops, 'enduser'].join('\n')) },
);
const program = fc.array(ringZeroOp, { maxLength: 40 }).map((ops) => {
  const tree = (name: string, gpa: string) => [
    `pt ${name} l4`,
    `map ${name} 0x7f0000000000 ${gpa} 16 4k pwu`,
    `map ${name} 0x7f0000010000 0x500000 24 4k p`,
    `ident ${name}`,
  ];
  const setup = [...tree('S0', '0x400000'), ...tree('S1', '0x410000'), 'prot32', 'enterlong S0', 'far64 ltr'];
  // Both trees are used, and one op needs 64-bit code, in every program.
  return [...setup, ...ops, 'cr3 S1', 'w 0x7f0000003000', ''].join('\n');
});

describe('a workload that is a trace and a workload again', () => {
  it('counts the same under every era', async () => {
    await fc.assert(
      fc.asyncProperty(program, async (text) => {
        const before = parseOps(text, 'program.ops');
        const { header: made, losses, pieces } = fromOps(before);
        expect(losses).toEqual([]);
        const after = await toOps(made, numbered(pieces()));
        expect(after.losses).toEqual([]);
        for (const era of someEras) {
          for (const kind of ['npt', 'shadow'] as const) {
            const [a, b] = [recordOf(era, before, kind), recordOf(era, after.workload, kind)];
            expect(b.phases).toEqual(a.phases);
            expect(b.total).toEqual(a.total);
            expect(b.guestFaults).toEqual(a.guestFaults);
          }
        }
      }),
      { numRuns: 8 },
    );
  });

  it('keeps an entry that gets other flags', async () => {
    const text = 'pt A l4\nmap A 0x10000000 0x400000 8 4k pw\nident A\nprot32\nenterlong A\nw 0x10001000\n';
    const edits =
      'pte A 0x10001000 1 p 0x401000\ninvlpg 0x10001000\nw 0x10001000\npte A 0x10001000 1 0\nr 0x10001000\n';
    const { header: made, pieces, losses } = fromOps(parseOps(text + edits, 'edits.ops'));
    expect(losses).toEqual([]);
    const events = [...pieces()].flatMap(({ words, count }) => [...words.subarray(0, 2 * count)]);
    expect(events.slice(2, 4)).toEqual([0x10001, editWord(0x10001, EDIT_FLAG.p)]);
    const after = await toOps(made, numbered(fromOps(parseOps(text + edits, 'edits.ops')).pieces()));
    for (const era of someEras) {
      const before = recordOf(era, parseOps(text + edits, 'edits.ops'), 'shadow');
      expect(recordOf(era, after.workload, 'shadow').total).toEqual(before.total);
      expect(before.guestFaults.length).toBeGreaterThan(0);
    }
  });
});

describe('a trace of a bundled workload', () => {
  it.each(['npt', 'shadow'] as const)('has the root loads and reasons of the workload itself: %s', async (kind) => {
    const path = join(folder, 'wp.mmut');
    await convertFile('wp-toggle', path, plain);
    const options = { kind, implementation: null, vendor: 'svm' } as const;
    const traced = await withTrace(path, {}, (reader) => replayTrace(reader, someEras, options));
    const summary = (record: ReplayRecord) => ({
      loads: Object.fromEntries(record.phases.slice(1, -1).map(({ name, counts }) => [name, counts.kvm.mmu_load])),
      reasons: record.reloads
        .map(({ by, bits, chain, perPhase }) => ({
          by,
          bits,
          chain,
          perPhase: { ...perPhase, '(before first phase)': 0 },
        }))
        .filter(({ perPhase }) => Object.keys(perPhase).length > 1),
      writes: record.writeEffects
        .filter(({ write }) => write === 'CR0.WP')
        .map(({ calls, count }) => ({ calls, count })),
    });
    for (const [i, era] of someEras.entries()) {
      const record = traced[i]!;
      if (!isAvailable(record)) throw new Error(record.unavailable);
      expect(summary(record), era.id).toEqual(summary(recordOf(era, loadWorkload('wp-toggle'), kind)));
    }
  });

  it('is refused with everything that it cannot say, unless that may be left out', async () => {
    const path = join(folder, 'smm.mmut');
    await expect(convertFile('smm', path, plain)).rejects.toThrow(
      /smm: 4 things that a trace cannot say\n {2}line 7: /,
    );
    expect(readdirSync(folder)).not.toContain('smm.mmut');
    const notes = await convertFile('smm', path, { ...plain, lossy: true });
    expect(notes.filter((note) => note.startsWith('left out: line '))).toHaveLength(4);
    expect(readdirSync(folder)).toContain('smm.mmut');
    await expect(convertFile('boot-modes', path, plain)).rejects.toThrow(
      'boot-modes.ops:31: a change of the paging mode',
    );
  });
});

const validEvent = fc.oneof(
  fc
    .tuple(fc.constantFrom(EVENT.READ, EVENT.WRITE, EVENT.EXEC, EVENT.INVLPG, EVENT.EDIT), fc.nat({ max: 2 ** 45 - 1 }))
    .map(([kind, at]) => [at, pageWord(kind, at)]),
  fc.tuple(fc.nat({ max: 2 ** 45 - 1 }), fc.nat({ max: 127 })).map(([at, flags]) => [at, editWord(at, flags)]),
  fc
    .tuple(fc.nat({ max: 1 }), fc.nat({ max: 0xfff }), fc.boolean())
    .map(([space, low, noflush]) => [space, (EVENT.CR3 << 24) | low | (noflush ? CR3_NOFLUSH : 0)]),
  fc
    .tuple(fc.constantFrom(EVENT.CR0, EVENT.CR4, EVENT.EFER, EVENT.WP, EVENT.CPL, EVENT.AC), fc.integer())
    .map(([kind, value]) => [value, kind << 24]),
  fc.nat({ max: 1 }).map((phase) => [phase, EVENT.PHASE << 24]),
);

describe('events as JSONL', () => {
  it('say everything: the same file comes back, byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(validEvent, { maxLength: 60 }), async (events) => {
        const [first, text, second] = ['a.mmut', 'b.jsonl', 'c.mmut'].map((name) => join(folder, name));
        writeFileSync(first!, await fileOf(Int32Array.from(events.flat()), 65536));
        await convertFile(first!, text!, plain);
        await convertFile(text!, second!, plain);
        expect(readFileSync(second!)).toEqual(readFileSync(first!));
      }),
      { numRuns: 25 },
    );
  });

  it('name file and line of a mistake', async () => {
    const path = join(folder, 'wrong.jsonl');
    writeFileSync(join(folder, 'x.mmut'), await fileOf(new Int32Array(0)));
    await convertFile(join(folder, 'x.mmut'), path, plain);
    const first = readFileSync(path, 'utf8');
    const mistakes: readonly (readonly [string, RegExp])[] = [
      ['{"event":"raed","gva":"0x1000"}', /wrong\.jsonl:2: event "raed"[\s\S]*try: read/],
      ['{"event":"read","gva":"0x1234"}', /:2: gva "0x1234"/],
      ['{"event":"cr3","space":2}', /:2: space 2\n {2}expected: a whole number from 0 to 1/],
      ['{"event":"wp","value":1,"extra":2}', /:2: key "extra"/],
      ['{"event":"phase","name":"third"}', /:2: phase "third"/],
      ['not json', /:2: .*JSON/],
    ];
    for (const [line, message] of mistakes) {
      writeFileSync(path, `${first}${line}\n`);
      await expect(convertFile(path, join(folder, 'y.mmut'), plain)).rejects.toThrow(message);
      expect(readdirSync(folder)).not.toContain('y.mmut');
    }
  });

  it('of a part have its events alone', async () => {
    const path = join(folder, 'part.mmut');
    const words = Array.from({ length: 50 }, (_, i) => [i, 0]).flat();
    writeFileSync(path, await fileOf(Int32Array.from(words)));
    await convertFile(path, join(folder, 'part.jsonl'), { ...plain, from: 20, count: 3 });
    const [head, ...lines] = readFileSync(join(folder, 'part.jsonl'), 'utf8').trimEnd().split('\n');
    expect(JSON.parse(head!).origin).toEqual({ ...header.origin, from: 20, count: 3 });
    expect(lines).toEqual(['0x14000', '0x15000', '0x16000'].map((gva) => `{"event":"read","gva":"${gva}"}`));
  });
});

describe('a trace that no workload holds', () => {
  it('is refused with the reason', async () => {
    const many = (count: number) => numbered([{ words: new Int32Array(2 * count), count }]);
    await expect(toOps(header, many(50_001))).rejects.toThrow(/more than 50000 events[\s\S]*--count N/);
    const map = { ...header.guest.spaces[0]!.maps[0]!, count: 8192, scatter: 0 };
    const large = { ...header, guest: { ...header.guest, frames: 2 ** 23, spaces: [{ maps: [map] }] } };
    await expect(toOps(large, many(1))).rejects.toThrow(/more than 7168 pages of data/);
    const low = { ...header, guest: { ...header.guest, spaces: [{ maps: [{ ...map, page: 16, count: 2 }] }] } };
    await expect(toOps(low, many(1))).rejects.toThrow(UserError);
  });

  it('tells the events that ring 3 cannot do, and moves data into a workload’s memory', async () => {
    const words = Int32Array.from([3, EVENT.CPL << 24, 1, EVENT.WP << 24, 0xf0000000 | 0, pageWord(0, 0x7f0000000)]);
    const { losses, notes, workload } = await toOps(header, numbered([{ words, count: 3 }]));
    expect(losses).toEqual([{ place: 'event 1', what: 'wp with operand 1: ring 3 cannot do it' }]);
    expect(notes).toHaveLength(1);
    expect(recordOf(someEras[0]!, workload, 'npt').guestFaults).toEqual([]);
  });
});
