// SPDX-License-Identifier: GPL-2.0-only
/** Eras that replay together end with what each has alone. */
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { Era, MmuKind } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import { EDIT_FLAG, EVENT, editWord, eventCount, pageWord } from '../../src/trace/events.ts';
import { FusedReplay } from '../../src/trace/fused-replay.ts';
import { uniformGuest } from '../../src/trace/guest.ts';
import type { TraceObserver } from '../../src/trace/observer.ts';
import { replayTrace } from '../../src/trace/replay-file.ts';
import { TraceReplay, type TraceReplayOptions } from '../../src/trace/trace-replay.ts';

const FIRST = 0x10000;
const PAGES = 96;
const guest = uniformGuest({ spaces: 2, pages: PAGES, size: '4k', firstPage: FIRST, readOnlyOneIn: 8 });

/** Accesses with events of some kinds among them, the same each time. */
function traceWith(kinds: readonly number[], seed: number): Int32Array {
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const words: number[] = [];
  const operands: Readonly<Record<number, () => number>> = {
    [EVENT.CR3]: () => next(2),
    [EVENT.WP]: () => next(2),
    [EVENT.CPL]: () => next(2) * 3,
    [EVENT.CR4]: () => (next(2) === 0 ? 0x20 : 0xa0),
    [EVENT.EFER]: () => (next(2) === 0 ? 0x900 : 0x100),
  };
  for (let i = 0; i < 600; i++) {
    const page = FIRST + next(PAGES);
    words.push(page, pageWord(next(3) === 0 ? EVENT.WRITE : EVENT.READ, page));
    if (i % 9 !== 0) continue;
    const kind = kinds[next(kinds.length)]!;
    if (kind === EVENT.EDIT) {
      words.push(page, editWord(page, EDIT_FLAG.p | (next(2) === 0 ? EDIT_FLAG.w : 0)));
      words.push(page, pageWord(EVENT.INVLPG, page));
    } else if (kind === EVENT.EXEC) words.push(page, pageWord(EVENT.EXEC, page));
    else words.push(operands[kind]!(), kind << 24);
  }
  return Int32Array.from(words);
}

const traces = {
  'CR0.WP': traceWith([EVENT.WP], 1),
  'CR3, execution, privilege': traceWith([EVENT.CR3, EVENT.EXEC, EVENT.CPL], 2),
  'table edits': traceWith([EVENT.EDIT], 3),
  everything: traceWith([EVENT.CR3, EVENT.WP, EVENT.CPL, EVENT.CR4, EVENT.EFER, EVENT.EDIT, EVENT.EXEC], 4),
};

/** Everything that an observer is told, as lines. */
function lines(): { observer: TraceObserver; told: string[] } {
  const told: string[] = [];
  const observer: TraceObserver = {
    exit: (reason) => told.push(`exit ${reason}`),
    registerWrite: (...write) => told.push(`write ${write.join(' ')}`),
    nativeWrite: (...write) => told.push(`native ${write.join(' ')}`),
    writeDone: (result) => told.push(`done ${result}`),
    faultBegin: (page) => told.push(`fault ${page}`),
    faultEnd: (page) => told.push(`fault done ${page}`),
    entry: (view) => told.push(`entry ${JSON.stringify([view.roles(), view.root(), view.previousRoots()])}`),
  };
  return { observer, told };
}

function optionsFor(kind: MmuKind): Omit<TraceReplayOptions, 'observer'>[] {
  return eras.flatMap((era) => {
    const host = hostFor(era, { kind, implementation: null, vendor: 'vmx' });
    return 'unavailable' in host ? [] : [{ era, host, guest }];
  });
}

const outcome = (replay: TraceReplay) => ({
  counts: replay.counts(),
  stopped: replay.stopped,
  counters: replay.vm.counters.snapshot(),
  cost: replay.cpu.cost(),
  faults: replay.vm.faultsByError.sorted(),
  pages: replay.vm.newByRole.sorted(),
});

it('takes flushes that leave no translation for the same, however many they are', () => {
  const options = optionsFor('npt').filter(({ era: { id } }) => id === 'v5.17' || id === 'cpu-role');
  const trace = traces['CR0.WP'];
  const together = new FusedReplay(options);
  together.run(trace, 0, eventCount(trace));
  const [a, b] = together.replays.map(({ cpu }) => cpu.cost());
  expect(a!.tlb_flushes).not.toBe(b!.tlb_flushes);
  expect(together.groups).toBe(1);
});

/** An era that cannot handle its fault number `last`, and is like another one until then. */
function failingAt(last: number, era: Era): Era {
  return {
    ...era,
    create(vm) {
      const eraVm = era.create(vm);
      const createVcpu = eraVm.createVcpu.bind(eraVm);
      eraVm.createVcpu = (...args) => {
        const vcpu = createVcpu(...args);
        const fault = vcpu.fault.bind(vcpu);
        let faults = 0;
        vcpu.fault = (exit) => (++faults === last ? 'failed' : fault(exit));
        return vcpu;
      };
      return eraVm;
    },
  };
}

it.each([1, 2])('goes on with %i when one of a group cannot', (others) => {
  const [{ era, host }] = optionsFor('shadow').filter(({ era: { id } }) => id === 'v6.1') as [TraceReplayOptions];
  const going = { era, host, guest };
  const options = [...Array(others).fill(going), { ...going, era: failingAt(40, era) }];
  const trace = traces.everything;
  const together = new FusedReplay(options);
  for (let from = 0; from < eventCount(trace); from += 131) {
    together.run(trace, from, Math.min(from + 131, eventCount(trace)));
  }
  const alone = options.map((each) => new TraceReplay(each));
  for (const replay of alone) replay.run(trace, 0, eventCount(trace));
  expect(alone.at(-1)!.stopped).not.toBeNull();
  expect(together.replays.map(outcome)).toEqual(alone.map(outcome));
  expect(together.groups).toBe(1);
});

describe.each(['shadow', 'npt', 'ept'] as const)('%s', (kind) => {
  it.each(Object.entries(traces))('%s: together as alone, in pieces of any size', (_, trace) => {
    const options = optionsFor(kind);
    const alone = options.map((each) => {
      const { observer, told } = lines();
      const replay = new TraceReplay({ ...each, observer });
      replay.run(trace, 0, eventCount(trace));
      return { ...outcome(replay), told };
    });
    const told = options.map(lines);
    const together = new FusedReplay(options.map((each, i) => ({ ...each, observer: told[i]!.observer })));
    for (let from = 0; from < eventCount(trace); from += 131) {
      together.run(trace, from, Math.min(from + 131, eventCount(trace)));
    }
    together.replays.forEach((replay, i) => {
      expect({ ...outcome(replay), told: told[i]!.told }, options[i]!.era.id).toEqual(alone[i]);
    });
  });

  it('shares accesses among eras that behave alike', () => {
    const options = optionsFor(kind);
    const together = new FusedReplay(options);
    const trace = traces['CR3, execution, privilege'];
    together.run(trace, 0, eventCount(trace));
    expect(together.groups).toBeLessThan(options.length);
  });

  it('gives the same records together as alone, byte for byte', async () => {
    const options = { kind, implementation: null, vendor: 'vmx' } as const;
    const [head, ...body] = Object.values(traces).map((each) => each.subarray(0, 600));
    const words = Int32Array.from([
      ...head!,
      ...[0, 1].flatMap((phase) => [phase, EVENT.PHASE << 24, ...body[phase]!]),
    ]);
    const header = { name: 'mixed', guest, phases: ['one', 'two'], origin: {} };
    const trace = {
      header,
      events: eventCount(words),
      pieces: () => [{ words, count: eventCount(words) }],
      damage: null,
    };
    const together = await replayTrace(trace, eras, options);
    for (const [i, era] of eras.entries()) {
      expect(JSON.stringify(together[i])).toBe(JSON.stringify((await replayTrace(trace, [era], options))[0]));
    }
  });
});
