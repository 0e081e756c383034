// SPDX-License-Identifier: GPL-2.0-only
import { mix32, Random } from '../../workload/page-stream.ts';
import { EVENT, KIND_SHIFT, pageWord } from '../events.ts';
import { stepOf, type TraceGuest, type TraceMap, type TracePaging, uniformGuest } from '../guest.ts';

/** Which pages are accessed: in order; each as likely as any; or few most often: rank floor(pages * u ** 4), scattered. */
export const localities = ['sequential', 'uniform', 'skewed'] as const;
export type Locality = (typeof localities)[number];

/** A generated trace. The same spec gives the same events, on any machine. */
export interface TraceSpec {
  readonly paging: TracePaging;
  readonly spaces: number;
  /** Pages of 4 KiB in each address space. */
  readonly pages: number;
  readonly size: TraceMap['size'];
  readonly locality: Locality;
  /** Accesses and control events together. */
  readonly events: number;
  /** Writes in 256 accesses. */
  readonly writes: number;
  /** Accesses between two loads of CR3, toggles of CR0.WP, edits of a leaf entry with INVLPG; 0 for none. */
  readonly cr3Every: number;
  readonly wpEvery: number;
  readonly editEvery: number;
  /** Of xorshift32, started with 0x9e3779b9 ^ seed. */
  readonly seed: number;
}

/** Linear page number of the first page of every space: 0x7f0000000 where there is room for it, else 0x10000. */
export const firstPageOf = (paging: TracePaging): number =>
  paging === '32bit' || paging === 'pae' ? 0x10000 : 0x7f0000000;

/** The guest of a generated trace. One page in 16 is read-only. */
export const guestOf = ({ paging, spaces, pages, size }: TraceSpec): TraceGuest =>
  uniformGuest({ paging, spaces, pages, size, firstPage: firstPageOf(paging), readOnlyOneIn: 16 });

/** Most events between two accesses: CR3, WP, EDIT, INVLPG, and the access itself. */
const GROUP = 5;

/** The events of a trace, piece by piece; a piece's words are used again for the next one. */
export function* tracePieces(spec: TraceSpec, pieceEvents = 16384): Generator<{ words: Int32Array; count: number }> {
  const { events, spaces, writes, cr3Every, wpEvery, editEvery } = spec;
  const random = new Random(spec.seed);
  const first = firstPageOf(spec.paging);
  const words = new Int32Array(2 * (pieceEvents + GROUP));
  /** Events in earlier pieces, and in this one. */
  let before = 0;
  let count = 0;
  let space = 0;
  let wp = 1;
  const put = (kind: number, operand: number): void => {
    words[2 * count] = operand;
    words[2 * count + 1] = kind << KIND_SHIFT;
    count++;
  };
  const putPage = (kind: number, page: number): void => {
    words[2 * count] = first + page;
    words[2 * count + 1] = pageWord(kind, first + page);
    count++;
  };
  for (let accesses = 1; before + count < events; accesses++) {
    if (cr3Every !== 0 && accesses % cr3Every === 0) {
      space = (space + 1) % spaces;
      put(EVENT.CR3, space);
    }
    if (wpEvery !== 0 && accesses % wpEvery === 0) {
      wp ^= 1;
      put(EVENT.WP, wp);
    }
    if (editEvery !== 0 && accesses % editEvery === 0) {
      const page = pick(spec, random, before + count);
      putPage(EVENT.EDIT, page);
      putPage(EVENT.INVLPG, page);
    }
    const page = pick(spec, random, before + count);
    const isWrite = writes !== 0 && (random.next() & 255) < writes;
    putPage(isWrite ? EVENT.WRITE : EVENT.READ, page);
    if (count < pieceEvents) continue;
    yield { words, count: Math.min(count, events - before) };
    before += count;
    count = 0;
  }
  if (count > 0) yield { words, count: Math.min(count, events - before) };
}

/** Powers by multiplication alone: they round alike on every machine. */
function pick({ locality, pages }: TraceSpec, random: Random, at: number): number {
  if (locality === 'sequential') return at % pages;
  const u = random.next() / 2 ** 32;
  if (locality === 'uniform') return Math.floor(u * pages);
  const square = u * u;
  return mix32(Math.floor(square * square * pages)) % pages;
}

/** All events at once. */
export function wholeTrace(spec: TraceSpec): Int32Array {
  const trace = new Int32Array(2 * spec.events);
  let at = 0;
  for (const { words, count } of tracePieces(spec)) {
    trace.set(words.subarray(0, 2 * count), 2 * at);
    at += count;
  }
  return trace;
}

/** Whether the spec's pages fit its page size and paging mode; else what would. */
export function specMistake({ paging, pages, size }: TraceSpec): { found: string; expected: string } | null {
  if (size !== '4k' && (size === '4m') !== (paging === '32bit')) {
    return { found: `size=${size} with paging=${paging}`, expected: paging === '32bit' ? '4k or 4m' : '4k or 2m' };
  }
  if (pages % stepOf(size) !== 0) return { found: `pages=${pages}`, expected: `a multiple of ${stepOf(size)}` };
  const most = paging === '32bit' || paging === 'pae' ? 0xf0000 : 2 ** 32;
  return pages > most ? { found: `pages=${pages} with paging=${paging}`, expected: `at most ${most}` } : null;
}
