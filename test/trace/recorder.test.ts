// SPDX-License-Identifier: GPL-2.0-only
/** What a replay of a trace records, and that its memory does not grow with the trace. */
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { isAvailable, type ReplayRecord } from '../../src/replay/record.ts';
import { EVENT, pageWord } from '../../src/trace/events.ts';
import { generatedHeader, traceSpec } from '../../src/trace/generate/options.ts';
import { guestOf, tracePieces, wholeTrace } from '../../src/trace/generate/stream.ts';
import { HardwareReplay } from '../../src/trace/hardware-replay.ts';
import type { TraceHeader } from '../../src/trace/header.ts';
import { TraceReader } from '../../src/trace/reader.ts';
import { replayTrace } from '../../src/trace/replay-file.ts';
import { TraceWriter } from '../../src/trace/writer.ts';
import { fileOf, header, sourceOf } from './memory-file.ts';

const npt = { kind: 'npt', implementation: null, vendor: 'svm' } as const;
const eraOf = (id: string) => eras.find((era) => era.id === id)!;

async function recordsOf(
  trace: Int32Array,
  ids: readonly string[],
  head: TraceHeader = header,
): Promise<ReplayRecord[]> {
  const reader = await TraceReader.open(sourceOf(await fileOf(trace, 100, head)));
  const results = await replayTrace(reader, ids.map(eraOf), npt);
  return results.map((result) => {
    if (!isAvailable(result)) throw new Error(result.unavailable);
    return result;
  });
}

const page = (n: number): number => 0x7f0000000 + n;
const access = (kind: number, n: number): number[] => [page(n), pageWord(kind, page(n))];
const control = (kind: number, operand: number): number[] => [operand, kind << 24];

describe('a replay of a trace', () => {
  // Where CR0.WP is in the role of the root, each change of it takes another root (commits/eras.json: cpu-role, root-role).
  it('counts by phase, and gives the reason of each root load with the event that caused it', async () => {
    const rounds = Array.from({ length: 10 }, () => [control(EVENT.WP, 0), control(EVENT.WP, 1)]).flat();
    const events = [control(EVENT.PHASE, 0), access(EVENT.READ, 1), control(EVENT.PHASE, 1), ...rounds];
    const [cpuRole, v61] = await recordsOf(Int32Array.from(events.flat()), ['cpu-role', 'v6.1']);
    expect(cpuRole!.phases.map(({ name }) => name)).toEqual(['(before first phase)', 'first', 'second', '(teardown)']);
    expect(cpuRole!.phases.map(({ counts }) => counts.kvm.mmu_load).slice(1, 3)).toEqual([0, 20]);
    expect(v61!.phases.map(({ counts }) => counts.kvm.mmu_load).slice(1, 3)).toEqual([0, 0]);
    const reload = cpuRole!.reloads.find(({ bits }) => bits === 'CR0.WP');
    expect(reload).toMatchObject({ by: 'kvm_post_set_cr0', count: 20, line: 3, perPhase: { second: 20 } });
    expect(cpuRole!.entryStates.reduce((sum, { entries }) => sum + entries, 0)).toBe(cpuRole!.total.entries);
    expect(cpuRole).toMatchObject({ linesAre: 'events', executed: 23, stopped: null });
  });

  it('counts what the guest’s own tables refuse', async () => {
    const readOnly = Array.from({ length: 64 }, (_, n) => n).flatMap((n) => access(EVENT.WRITE, n));
    const [record] = await recordsOf(Int32Array.from([...readOnly, ...access(EVENT.READ, 5000)]), ['v7.3']);
    // One page in 16 is read-only, by a hash of its number; page 5000 is not mapped.
    const denied = record!.guestFaults.find(({ errorCode }) => errorCode === 3)!;
    expect(denied).toMatchObject({ vector: 14, address: '*' });
    expect(denied.count).toBeGreaterThan(0);
    expect(record!.guestFaults.find(({ errorCode }) => errorCode === 0)?.count).toBe(1);
  });

  it('goes on after any number of faults in a row', async () => {
    const refused = Array.from({ length: 200 }, (_, n) => access(EVENT.WRITE, n % 64)).flat();
    const reader = await TraceReader.open(sourceOf(await fileOf(Int32Array.from([...refused, ...refused]))));
    const shadow = { ...npt, kind: 'shadow' } as const;
    const guest = { ...header.guest, spaces: [{ maps: [{ ...header.guest.spaces[0]!.maps[0]!, flags: 'pu' }] }] };
    const trace = { header: { ...header, guest }, events: reader.events, pieces: () => reader.pieces(), damage: null };
    for (const result of await replayTrace(trace, eras, shadow)) {
      if (!isAvailable(result)) throw new Error(result.unavailable);
      expect({ era: result.era, stopped: result.stopped, executed: result.executed }).toEqual({
        era: result.era,
        stopped: null,
        executed: 400,
      });
      expect(
        result.guestFaults.reduce((sum, { count }) => sum + count, 0),
        result.era,
      ).toBe(400);
    }
  });

  it('names the event that its guest cannot do', async () => {
    const wrong: readonly (readonly [number[], RegExp])[] = [
      [control(EVENT.CR3, 2), /^event 1: cr3 with operand 2\n {2}expected: a space below 2/],
      [control(EVENT.WP, 2), /^event 1: wp with operand 2\n {2}expected: 0 or 1/],
      [control(EVENT.PHASE, 2), /^event 1: phase with operand 2/],
      [control(EVENT.CPL, 1), /^event 1: cpl with operand 1/],
      [control(EVENT.CR0, 0x10001), /^event 1: cr0 with operand 65537\n {2}expected: bits 0x80000001 of cr0/],
      [
        access(EVENT.EDIT, 5000),
        /^event 1: edit of page 0x7f0001388\n {2}expected: a page that the space in force maps/,
      ],
      [control(200, 0), /^event 1: kind 200/],
    ];
    for (const [event, message] of wrong) {
      const trace = Int32Array.from([...access(EVENT.READ, 0), ...event]);
      await expect(recordsOf(trace, ['v6.1'])).rejects.toThrow(message);
    }
  });

  it('says which eras cannot run it', async () => {
    const head = { ...header, guest: { ...header.guest, paging: '5level' as const } };
    const reader = await TraceReader.open(sourceOf(await fileOf(Int32Array.from(access(EVENT.READ, 0)), 8, head)));
    const results = await replayTrace(reader, ['base-role', 'v7.3'].map(eraOf), npt);
    expect(results[0]).toMatchObject({ era: 'base-role', unavailable: 'not in this era: la57' });
    expect(isAvailable(results[1]!)).toBe(true);
  });

  it.each(['32bit', 'pae', '4level', '5level'] as const)('runs %s guests', async (paging) => {
    const spec = traceSpec('shadow-wp', { events: 400, pages: 64, paging });
    const hardware = new HardwareReplay(guestOf(spec));
    hardware.run(wholeTrace(spec), 0, spec.events);
    const [record] = await recordsOf(wholeTrace(spec), ['v7.3'], generatedHeader('shadow-wp', spec));
    expect(record!.stopped).toBe(null);
    expect(record!.guestFaults).toMatchObject([{ errorCode: 3, count: hardware.faults }]);
    expect(record!.entryStates.at(-1)!.guestLevels).toBe({ '32bit': 2, pae: 3, '4level': 4, '5level': 5 }[paging]);
  });
});

describe('memory', () => {
  const spec = traceSpec('shadow-wp', { events: 2_000_000, pages: 256 });

  it('of a reader is one chunk, however long the trace', async () => {
    const parts: Buffer[] = [];
    const writer = await TraceWriter.open({ write: async (bytes) => void parts.push(Buffer.from(bytes)) }, header);
    let alive = 0;
    for (const { words, count } of tracePieces(spec)) {
      await writer.write(words, 0, count);
      alive++;
    }
    await writer.end();
    expect(alive).toBeGreaterThan(100);
    const source = sourceOf(Buffer.concat(parts));
    let reads = 0;
    const counting = {
      ...source,
      read: (...what: Parameters<typeof source.read>) => {
        reads++;
        return source.read(...what);
      },
    };
    const reader = await TraceReader.open(counting);
    const openedWith = reads;
    const buffers = new Set<ArrayBufferLike>();
    let pieces = 0;
    for await (const { words } of reader.pieces()) {
      pieces++;
      buffers.add(words.buffer);
      // A head and its packed bytes for each piece: nothing is read before it is asked for.
      expect(reads - openedWith).toBe(2 * pieces);
    }
    expect(pieces).toBe(Math.ceil(2_000_000 / 65536));
    expect(buffers.size).toBe(1);
  });

  it('of a record depends on what happens, not on how often', async () => {
    const sizeAfter = async (events: number): Promise<number> => {
      const header = generatedHeader('shadow-wp', { ...spec, events });
      const trace = { header, events, pieces: () => tracePieces({ ...spec, events }), damage: null };
      const [record] = await replayTrace(trace, [eraOf('cpu-role')], npt);
      const lists = Object.values(record!).filter((value) => Array.isArray(value));
      return lists.reduce((sum, list) => sum + list.length, 0);
    };
    expect(await sizeAfter(60_000)).toBe(await sizeAfter(20_000));
  });
});
