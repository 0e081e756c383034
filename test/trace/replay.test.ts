// SPDX-License-Identifier: GPL-2.0-only
/** Every era translates a trace as the hardware alone does, whatever lies between. */
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { MmuKind } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import { EDIT_FLAG, EVENT, editWord, eventCount, pageWord } from '../../src/trace/events.ts';
import { type TraceGuest, uniformGuest } from '../../src/trace/guest.ts';
import { HardwareReplay } from '../../src/trace/hardware-replay.ts';
import { TraceReplay } from '../../src/trace/trace-replay.ts';

const FIRST = 0x10000;
const PAGES = 128;
const guest = uniformGuest({ spaces: 2, pages: PAGES, size: '4k', firstPage: FIRST, readOnlyOneIn: 16 });

/**
 * Accesses with every kind of event between them, the same each time. Either entries get bit 63 or EFER.NX changes: with both,
 * some kernels are known not to do what the tables say (test/contract/leniencies.ts).
 */
function mixedTrace(changes: 'EFER.NX' | 'bit 63'): Int32Array {
  const allFlags = Object.values(EDIT_FLAG).reduce((flags, flag) => flags | flag, 0) & ~EDIT_FLAG.g;
  const flags = changes === 'bit 63' ? allFlags : allFlags & ~EDIT_FLAG.n;
  const words: number[] = [];
  const control = (kind: number, operand: number) => words.push(operand, kind << 24);
  let space = 0;
  let state = 7;
  const next = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 0; i < 1200; i++) {
    const page = FIRST + next(PAGES);
    words.push(page, pageWord([EVENT.READ, EVENT.WRITE, EVENT.EXEC][next(3)]!, page));
    if (i % 37 === 0) {
      space = next(2);
      control(EVENT.CR3, space);
    }
    if (i % 23 === 0) control(EVENT.WP, next(2));
    if (i % 101 === 0) control(EVENT.CPL, next(2) * 3);
    if (i % 211 === 0 && changes === 'EFER.NX') {
      control(EVENT.EFER, next(2) === 0 ? 0x900 : 0x100);
      // What a change of EFER.NX means for translations in the TLB is open until they are flushed.
      control(EVENT.CR3, space);
    }
    if (i % 223 === 0) control(EVENT.CR4, next(2) === 0 ? 0x20 : 0xa0);
    if (i % 53 === 0) {
      words.push(page, next(2) === 0 ? pageWord(EVENT.EDIT, page) : editWord(page, next(128) & flags));
      words.push(page, pageWord(EVENT.INVLPG, page));
    }
  }
  return Int32Array.from(words);
}

const traces = [mixedTrace('EFER.NX'), mixedTrace('bit 63')];

function replayed(kind: MmuKind, era: (typeof eras)[number], of: TraceGuest = guest): TraceReplay | null {
  const host = hostFor(era, { kind, implementation: null, vendor: 'svm' });
  return 'unavailable' in host ? null : new TraceReplay({ era, host, guest: of });
}

/** Until v2.6.35 what the kernel wrote with CR0.WP clear stays writable (3dbe141595fa; test/contract/leniencies.ts). */
const forgets = (era: string, kind: MmuKind): boolean => kind === 'shadow' && era.startsWith('base-role');

describe.each(eras.map((era) => [era.id, era] as const))('%s', (_, era) => {
  it.each(['shadow', 'npt', 'ept'] as const)('%s reaches the frames and faults of the hardware alone', (kind) => {
    for (const trace of traces) {
      const hardware = new HardwareReplay(guest);
      hardware.run(trace, 0, eventCount(trace));
      const replay = replayed(kind, era);
      if (replay === null) return expect(era.modes.some((mode) => mode.kind === kind)).toBe(false);
      replay.run(trace, 0, eventCount(trace));
      const { frameSum, pageFaults, events } = replay.counts();
      if (forgets(era.id, kind)) {
        expect(pageFaults).toBeLessThan(hardware.faults);
        continue;
      }
      expect({ frameSum, pageFaults, events, stopped: replay.stopped }).toEqual({
        frameSum: hardware.frameSum,
        pageFaults: hardware.faults,
        events: hardware.events,
        stopped: null,
      });
    }
  });

  it('counts the same in pieces as at once', () => {
    const trace = traces[0]!;
    const whole = replayed('shadow', era)!;
    whole.run(trace, 0, eventCount(trace));
    const pieces = replayed('shadow', era)!;
    for (let from = 0; from < trace.length; from += 2 * 997) {
      const piece = trace.slice(from, from + 2 * 997);
      pieces.run(piece, 0, eventCount(piece));
    }
    expect(pieces.counts()).toEqual(whole.counts());
    expect(pieces.vm.counters).toEqual(whole.vm.counters);
  });
});
