// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { CR0, CR4, EFER } from '../../sim/registers.ts';
import type { Op } from '../../workload/ops.ts';
import { PageStream } from '../../workload/page-stream.ts';
import type { Step } from '../../workload/program.ts';
import { plus, type U64 } from '../../workload/u64.ts';
import { cr3Word, EDIT_FLAG, EVENT, editWord, KIND_SHIFT, pageWord } from '../events.ts';
import { stepOf } from '../guest.ts';
import { startRegisters } from '../guest-state.ts';
import type { TraceHeader } from '../header.ts';
import type { Losses } from './losses.ts';

type StepOf<K extends Step['kind']> = Extract<Step, { readonly kind: K }>;

/** Page number of an address, as events have it. */
export const pageNumber = ({ lo, hi }: U64): number => (hi & 0x1ffffff) * 2 ** 20 + (lo >>> 12);

/** The letters that a trace has, each once. */
export const knownFlags = (flags: string): string =>
  [...new Set(flags)].filter((letter) => letter in EDIT_FLAG).join('');

export interface BootRegisters {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  readonly rest: readonly Step[];
}

/** A workload on its way to a trace. */
export interface Conversion {
  readonly name: string;
  readonly header: TraceHeader;
  readonly spaces: readonly string[];
  readonly ops: ReadonlyMap<number, Op>;
  readonly boot: BootRegisters;
}

const PIECE = 16384;

/** Makes the events. Loops go round `mostRounds` times at most. */
export class Emitter {
  readonly #x: Conversion;
  readonly #losses: Losses;
  readonly #mostRounds: number;
  readonly #words = new Int32Array(2 * (PIECE + 8));
  #count = 0;
  #space = 0;
  #cr0: number;

  constructor(conversion: Conversion, losses: Losses, mostRounds: number) {
    this.#x = conversion;
    this.#losses = losses;
    this.#mostRounds = mostRounds;
    this.#cr0 = conversion.boot.cr0;
  }

  *pieces(): Generator<{ words: Int32Array; count: number }> {
    const { boot, header } = this.#x;
    const start = startRegisters(header.guest.paging);
    if (boot.cr4 !== start.cr4) this.#put(boot.cr4, EVENT.CR4);
    if (boot.efer !== start.efer) this.#put(boot.efer, EVENT.EFER);
    if (boot.cr0 !== start.cr0) this.#put(boot.cr0, EVENT.CR0);
    yield* this.#steps(boot.rest);
    if (this.#count > 0) yield this.#take();
  }

  *#steps(steps: readonly Step[]): Generator<{ words: Int32Array; count: number }> {
    for (const step of steps) {
      if (step.vcpu !== 0) this.#lose(step, 'a second vCPU');
      else yield* this.#step(step);
      if (this.#count >= PIECE) yield this.#take();
    }
  }

  *#step(step: Step): Generator<{ words: Int32Array; count: number }> {
    switch (step.kind) {
      case 'repeat':
        for (let round = 0; round < Math.min(step.count, this.#mostRounds); round++) yield* this.#steps(step.body);
        return;
      case 'user':
        this.#put(3, EVENT.CPL);
        yield* this.#steps(step.body);
        this.#put(0, EVENT.CPL);
        return;
      case 'touch':
        for (let i = 0; i < step.count; i++) {
          this.#putPage(step.access === 'w' ? EVENT.WRITE : EVENT.READ, pageNumber(plus(step.gva, i * step.stride)));
          if (this.#count >= PIECE) yield this.#take();
        }
        return;
      case 'bulk': {
        const { access, count, gva } = step;
        const stream = new PageStream(step);
        for (let i = 0; i < Math.min(count, this.#mostRounds * PIECE); i++) {
          this.#putPage(access === 'w' ? EVENT.WRITE : EVENT.READ, pageNumber(plus(gva, stream.next() * 4096)));
          if (this.#count >= PIECE) yield this.#take();
        }
        return;
      }
      default:
        this.#simple(step);
    }
  }

  #simple(step: Exclude<Step, { readonly kind: 'repeat' | 'user' | 'touch' | 'bulk' }>): void {
    switch (step.kind) {
      case 'access':
        this.#putPage({ r: EVENT.READ, w: EVENT.WRITE, x: EVENT.EXEC }[step.access], pageNumber(step.gva));
        return;
      case 'invlpg':
        this.#putPage(EVENT.INVLPG, pageNumber(step.gva));
        return;
      case 'cr0':
      case 'cr4':
      case 'efer':
        this.#register(step);
        return;
      case 'cr3':
        this.#cr3(step);
        return;
      case 'store':
        this.#store(step);
        return;
      case 'phase':
        this.#put(step.index - 1, EVENT.PHASE);
        return;
      case 'ac':
        this.#put(step.value, EVENT.AC);
        return;
      case 'halt':
      case 'far':
        return;
      default:
        this.#lose(step, `${this.#x.ops.get(step.line)?.op ?? step.kind} is no event of a trace`);
    }
  }

  #register(step: StepOf<'cr0' | 'cr4' | 'efer'>): void {
    const { kind, value } = step;
    const { boot } = this.#x;
    const mode = { cr0: CR0.PG | CR0.PE, cr4: CR4.PAE | CR4.LA57, efer: EFER.LME }[kind];
    if (((value ^ boot[kind]) & mode) !== 0) {
      throw new UserError({
        place: `${this.#x.name}.ops:${step.line}`,
        found: 'a change of the paging mode',
        expected: 'one paging mode from the moment paging is turned on: a trace has no other',
      });
    }
    if (kind === 'cr4') this.#put(value, EVENT.CR4);
    else if (kind === 'efer') this.#put(value & ~EFER.LMA, EVENT.EFER);
    else {
      const changed = this.#cr0 ^ value;
      this.#cr0 = value;
      if (changed === CR0.WP) this.#put((value & CR0.WP) === 0 ? 0 : 1, EVENT.WP);
      else this.#put(value, EVENT.CR0);
    }
  }

  #cr3(step: StepOf<'cr3'>): void {
    const space = this.#x.spaces.indexOf(step.tree);
    if (space < 0) {
      this.#lose(step, `tree "${step.tree}" is of another format`);
      return;
    }
    this.#space = space;
    const { lo, hi } = step.value;
    this.#putWords(space, cr3Word(lo & 0xfff, hi >= 0x80000000));
  }

  /** A `pte` that keeps the frame is an EDIT. */
  #store(step: StepOf<'store'>): void {
    const op = this.#x.ops.get(step.line);
    if (op?.op !== 'pte') {
      this.#lose(step, `${op?.op ?? step.what} is no event of a trace`);
      return;
    }
    const { pt, gva, level, flags, gpa } = op;
    const page = pageNumber(gva);
    if (this.#x.spaces[this.#space] !== pt) {
      this.#lose(step, `an entry of "${pt}", which is not in force`);
      return;
    }
    const mapped = this.#mapAt(page);
    const isCleared = gpa === undefined;
    const isSame = mapped !== null && (isCleared || pageNumber(gpa) === mapped.frame) && level === mapped.level;
    const large = level === 1 || isCleared || flags.includes('T');
    const letters = isCleared ? '' : flags.replaceAll('T', '');
    // 32-bit code writes the low half of an entry alone.
    if (!isSame || !large || knownFlags(letters) !== letters || (letters.includes('n') && step.bytes === 4)) {
      this.#lose(step, 'an entry that becomes more than other flags for the same frame');
      return;
    }
    const bits = [...letters].reduce((sum, letter) => sum | EDIT_FLAG[letter as keyof typeof EDIT_FLAG], 0);
    this.#putWords(page, editWord(page, bits));
  }

  /** Level and frame of the set-up's entry for a page in the space in force. */
  #mapAt(page: number): { level: number; frame: number } | null {
    const { maps } = this.#x.header.guest.spaces[this.#space]!;
    for (const map of maps.toReversed()) {
      const step = stepOf(map.size);
      const i = Math.floor((page - map.page) / step);
      if (i >= 0 && i < map.count) return { level: map.size === '4k' ? 1 : 2, frame: map.frame + i * step };
    }
    return null;
  }

  #lose(step: Step, what: string): void {
    this.#losses.add(`line ${step.line}`, what);
  }

  #put(operand: number, kind: number): void {
    this.#putWords(operand, kind << KIND_SHIFT);
  }

  #putPage(kind: number, page: number): void {
    this.#putWords(page, pageWord(kind, page));
  }

  #putWords(lo: number, hi: number): void {
    this.#words[2 * this.#count] = lo;
    this.#words[2 * this.#count + 1] = hi;
    this.#count++;
  }

  #take(): { words: Int32Array; count: number } {
    const count = this.#count;
    this.#count = 0;
    return { words: this.#words, count };
  }
}
