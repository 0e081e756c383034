// SPDX-License-Identifier: GPL-2.0-only
import {
  CPU_BYTES,
  CPU_FAULT,
  CPU_FAULTS,
  CPU_FRAME,
  CPU_MARKS,
  CPU_NESTED_READS,
  CPU_READS,
  CPU_TLB,
  CPU_WALKER,
  CPU_WALKS,
  FRAME_SUM,
  PASSES_FAULTS,
  WINDOW,
  WINDOW_EVENTS,
} from './core/layout.ts';
import type { Core } from './core.ts';
import { read64 } from './memory.ts';
import type { Tlb } from './tlb.ts';
import type { Walker } from './walk.ts';
import { FAULT } from './walk-result.ts';

const KIND_SHIFT = 24;
/** The last kind of event that is an access. */
const WRITE_EVENT = 1;
/** The piece of a trace before one is opened. */
const NO_PIECE = new Int32Array(0);

/** High half of the address in a packed access, with bits 63:57 as bit 56. */
export const addressHighOf = (page: number, word: number): number => (page >>> 20) | ((word << 19) >> 7);

/**
 * Accesses as a CPU performs them: the TLB, then a walk, whose result the TLB keeps (src/sim/core/cpu.ts). A fault leaves
 * cached translations alone; what a CPU drops besides is its own affair (SDM vol. 3A 4.10.4.1 lets it drop anything at
 * any time).
 */
export class Translator {
  readonly tlb: Tlb;
  readonly walker: Walker;
  readonly #block: number;
  readonly #words: Int32Array;
  readonly #window: Int32Array;
  readonly #core: Core;
  /** The piece of a trace that is open, up to an event of it; and which of its events are in the window. */
  #piece: Int32Array = NO_PIECE;
  #pieceEnd = 0;
  #windowStart = 0;
  #windowEnd = 0;

  constructor(tlb: Tlb, walker: Walker) {
    if (tlb.caches !== walker.caches) throw new Error('translator: TLB and walker have different upper-level caches');
    const { memory } = walker;
    this.tlb = tlb;
    this.walker = walker;
    this.#core = memory.core;
    this.#block = memory.reserve(CPU_BYTES);
    this.#words = memory.wordsAt(this.#block, WINDOW / 4);
    this.#window = memory.wordsAt(this.#block + WINDOW, 2 * WINDOW_EVENTS);
    this.#words[CPU_TLB / 4] = tlb.block;
    this.#words[CPU_WALKER / 4] = walker.block;
  }

  /** Host frame that the last single access reached. A double. */
  get frame(): number {
    return read64(this.#words, CPU_FRAME);
  }

  get walks(): number {
    return read64(this.#words, CPU_WALKS);
  }

  get faults(): number {
    return read64(this.#words, CPU_FAULTS);
  }

  /** Entries read in the tables of the walker. */
  get reads(): number {
    return read64(this.#words, CPU_READS);
  }

  /** Entries read in nested tables. */
  get nestedReads(): number {
    return read64(this.#words, CPU_NESTED_READS);
  }

  /** Entries written to mark them accessed or dirty. */
  get marks(): number {
    return read64(this.#words, CPU_MARKS);
  }

  /** The piece of a trace that is open. */
  get piece(): Int32Array {
    return this.#piece;
  }

  /** FAULT of the access where the last `run` stopped, NONE when no fault stopped it; details are in `walker.result`. */
  get fault(): number {
    return this.#words[CPU_FAULT / 4]!;
  }

  /** Sum of the frames that `run` reached, modulo 2 ** 32 and signed: two runs that translate alike have the same. */
  get frameSum(): number {
    return this.#words[FRAME_SUM / 4]!;
  }

  /** Whether `run` goes on after a fault, so that faults are only counted. */
  set passesFaults(pass: boolean) {
    this.#words[PASSES_FAULTS / 4] = Number(pass);
  }

  /** Takes over what another one of the same shape has cached and counted; its tables stay its own. */
  copyFrom(other: Translator): void {
    this.tlb.copyFrom(other.tlb);
    this.#words.set(other.#words.subarray(FRAME_SUM / 4), FRAME_SUM / 4);
  }

  /** Translates an address for an access (ACCESS bits). Returns a FAULT; details of one are in `walker.result`. */
  access(lo: number, hi: number, access: number): number {
    const fault = this.#core.access(this.#block, lo, hi, access);
    this.walker.memory.collectMarks();
    return fault;
  }

  /**
   * Opens a piece of a packed trace for `run`, up to event `to`; it must not change until another one is opened. Two words an
   * event: bits 31:0 of the page number; and its bits 44:32, with the kind in bits 31:24, of which 0 (read) and 1 (write) are
   * accesses.
   */
  open(piece: Int32Array, to: number): void {
    this.#piece = piece;
    this.#pieceEnd = to;
    this.#windowEnd = 0;
    this.#windowStart = 0;
  }

  /**
   * Performs the accesses of the piece, each as `access` would, from number `from` to the first that faults, or the first
   * event that is no access, or the end. Returns where it stopped, and `fault` says whether a fault did. `user` is
   * ACCESS.USER or 0.
   */
  run(from: number, user: number): number {
    const piece = this.#piece;
    const { memory } = this.walker;
    let at = from;
    this.#words[CPU_FAULT / 4] = FAULT.NONE;
    while (at < this.#pieceEnd && piece[2 * at + 1]! >>> KIND_SHIFT <= WRITE_EVENT && this.fault === FAULT.NONE) {
      if (at < this.#windowStart || at >= this.#windowEnd) this.#moveWindow(at);
      const start = this.#windowStart;
      at = start + this.#core.run(this.#block, at - start, this.#windowEnd - start, user);
      memory.collectMarks();
    }
    return at;
  }

  #moveWindow(start: number): void {
    const end = Math.min(start + WINDOW_EVENTS, this.#pieceEnd);
    this.#window.set(this.#piece.subarray(2 * start, 2 * end));
    this.#windowStart = start;
    this.#windowEnd = end;
  }
}
