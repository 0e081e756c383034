// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { PTE } from '../../sim/paging-bits.ts';
import { CR4, EFER } from '../../sim/registers.ts';
import { cr0Bits, cr4Bits, eferBits } from '../../workload/bits.ts';
import { RAM_BYTES } from '../../workload/image.ts';
import type { Workload } from '../../workload/ops.ts';
import { parseOps } from '../../workload/parse.ts';
import { CR3_NOFLUSH, CR3_PCID, EVENT, editFlags, KIND_SHIFT, pageOf } from '../events.ts';
import type { TracePaging } from '../guest.ts';
import { startRegisters } from '../guest-state.ts';
import { entryBits, flagLetters } from '../guest-tables.ts';
import type { TraceHeader } from '../header.ts';
import { describeEvent } from '../mistakes.ts';
import { formatU64 } from '../numbers.ts';
import type { TracePiece } from '../reader.ts';
import { type Loss, Losses } from './losses.ts';
import { OpsMemory } from './ops-memory.ts';

/** Events that the guest's code has room for, and a few more: who has more is told at once. */
export const MOST_OPS_EVENTS = 50_000;

const formats: Readonly<Record<TracePaging, string>> = { '32bit': 'leg32', pae: 'pae', '4level': 'l4', '5level': 'l5' };

const ways: Readonly<Record<TracePaging, (tree: string) => string[]>> = {
  '32bit': (tree) => ['cr4 +PSE', `cr3 ${tree}`, 'efer +NX', 'cr0 +WP +PG'],
  pae: (tree) => ['cr4 +PAE', `cr3 ${tree}`, 'efer +NX', 'cr0 +WP +PG'],
  '4level': (tree) => [`enterlong ${tree}`],
  '5level': (tree) => [`enterlong ${tree} +LA57`],
};

export interface ConvertedTrace {
  readonly workload: Workload;
  readonly losses: readonly Loss[];
  /** What is different without being lost: data that was moved. */
  readonly notes: readonly string[];
}

/**
 * A trace as a workload: its address spaces as trees, the way into its paging mode, then an op for each event. UserError
 * when it has more events or pages than a workload can hold.
 */
export async function toOps(header: TraceHeader, pieces: AsyncIterable<TracePiece>): Promise<ConvertedTrace> {
  const { guest, name } = header;
  const memory = new OpsMemory(name, guest);
  const lines = new OpLines(header, memory);
  for await (const { words, count, firstEvent } of pieces) {
    if (firstEvent + count > MOST_OPS_EVENTS) {
      throw new UserError({
        place: name,
        found: `more than ${MOST_OPS_EVENTS} events`,
        expected: 'a trace that fits into the code of a workload, 0x8000 to 0x38000',
        suggestion: '--count N, or a .jsonl file, which holds any number',
      });
    }
    for (let i = 0; i < count; i++) lines.event(firstEvent + i, words[2 * i]!, words[2 * i + 1]!);
  }
  const setup = guest.spaces.flatMap((_, space) => [
    `pt S${space} ${formats[guest.paging]}`,
    ...memory.mapLines(space),
  ]);
  const far = lines.needs64 ? ['far64 ltr'] : [];
  const text = [...setup, 'prot32', ...ways[guest.paging]('S0'), ...far, ...lines.finish(), ''].join('\n');
  const notes = memory.isMoved
    ? [`data was moved to guest frames from 0x400 on: a workload has ${RAM_BYTES >> 20} MiB`]
    : [];
  return { workload: parseOps(text, `${name.replaceAll(/[\\/]/g, '-')}.ops`), losses: lines.losses.list, notes };
}

/** The ops of events, one after the other. */
class OpLines {
  readonly losses = new Losses();
  readonly #header: TraceHeader;
  readonly #memory: OpsMemory;
  readonly #lines: string[] = [];
  readonly #registers: { cr0: number; cr4: number; efer: number };
  #space = 0;
  #inUser = false;
  #needs64: boolean;

  constructor(header: TraceHeader, memory: OpsMemory) {
    this.#header = header;
    this.#memory = memory;
    this.#registers = { ...startRegisters(header.guest.paging) };
    this.#needs64 = memory.isAbove4G;
  }

  /** Whether the guest has to run 64-bit code, for addresses, INT n from ring 3, or bit 63 of an entry. */
  get needs64(): boolean {
    return this.#needs64 && this.#isLong;
  }

  get #isLong(): boolean {
    const { paging } = this.#header.guest;
    return paging === '4level' || paging === '5level';
  }

  finish(): string[] {
    if (this.#inUser) this.#lines.push('enduser');
    return this.#lines;
  }

  event(number: number, lo: number, hi: number): void {
    try {
      const line = this.#line(lo, hi);
      if (line !== null) this.#lines.push(line);
    } catch (error) {
      if (!(error instanceof Unsayable)) throw error;
      this.losses.add(`event ${number}`, `${describeEvent(lo, hi)}: ${error.message}`);
    }
  }

  /** The op of an event, null where none is needed. */
  #line(lo: number, hi: number): string | null {
    const kind = hi >>> KIND_SHIFT;
    const page = pageOf(lo, hi);
    if (this.#inUser && !userKinds.has(kind)) throw new Unsayable('ring 3 cannot do it');
    switch (kind) {
      case EVENT.READ:
      case EVENT.WRITE:
      case EVENT.EXEC:
        if (page >= 2 ** 20) this.#needs64 = true;
        return `${accessOps[kind]} ${formatU64(page)}`;
      case EVENT.INVLPG:
        return `invlpg ${formatU64(page)}`;
      case EVENT.CR3:
        return this.#cr3(lo, hi);
      case EVENT.WP:
        return this.#register('cr0', (this.#registers.cr0 & ~cr0Bits.WP) | (lo === 0 ? 0 : cr0Bits.WP));
      case EVENT.CR0:
        return this.#register('cr0', lo);
      case EVENT.CR4:
        return this.#register('cr4', lo);
      case EVENT.EFER:
        return this.#register('efer', lo & ~EFER.LMA);
      case EVENT.EDIT:
        return this.#edit(page, editFlags(hi));
      case EVENT.CPL:
        return this.#cpl(lo);
      case EVENT.AC:
        return lo === 0 ? 'clac' : 'stac';
      case EVENT.PHASE:
        return this.#phase(lo);
      default:
        throw new Unsayable('an unknown kind of event');
    }
  }

  #phase(index: number): string {
    const phase = this.#header.phases[index];
    if (phase === undefined || !/^[\w.()-]+$/.test(phase)) {
      throw new Unsayable(`a phase called ${JSON.stringify(phase)}`);
    }
    return `phase ${phase}`;
  }

  #cr3(space: number, hi: number): string {
    if (space < 0 || space >= this.#header.guest.spaces.length) throw new Unsayable('there is no such space');
    const words = [`cr3 S${space}`];
    const low = hi & CR3_PCID;
    if ((this.#registers.cr4 & CR4.PCIDE) !== 0) words.push(`pcid=${low}`);
    else if ((low & ~(PTE.PWT | PTE.PCD)) !== 0) throw new Unsayable(`bits 0x${low.toString(16)} without CR4.PCIDE`);
    else words.push(...(low & PTE.PWT ? ['pwt'] : []), ...(low & PTE.PCD ? ['pcd'] : []));
    if ((hi & CR3_NOFLUSH) !== 0) words.push('noflush');
    this.#space = space;
    return words.join(' ');
  }

  #register(register: 'cr0' | 'cr4' | 'efer', value: number): string {
    const before = this.#registers[register];
    // ET is hard-wired.
    const changed = (value ^ before) & (register === 'cr0' ? ~cr0Bits.ET : -1);
    const bits = Object.entries(bitNames[register]).filter(([, bit]) => (changed & bit) !== 0);
    const unnamed = bits.reduce((left, [, bit]) => left & ~bit, changed);
    if (unnamed !== 0) throw new Unsayable(`bit 0x${(unnamed >>> 0).toString(16)} has no name in docs/ops.md`);
    this.#registers[register] = (before ^ changed) >>> 0;
    return [register, ...bits.map(([bit, mask]) => `${(value & mask) === 0 ? '-' : '+'}${bit}`)].join(' ');
  }

  #edit(page: number, flags: number): string {
    const entry = this.#memory.entryAt(this.#space, page);
    if (entry === null) throw new Unsayable('no map has the page');
    const before = entry.flags;
    const after = flags < 0 ? toggled(before) : flagLetters(flags);
    if (entryBits(after).nx !== entryBits(before).nx) this.#needs64 = true;
    entry.flags = after;
    const { level, gva, gpa } = entry;
    const letters = `${after}${level === 1 ? '' : 'T'}`;
    // Without any flag it is a present bit that is missing; `0` would take the frame as well, which nobody sees.
    return `pte S${this.#space} ${gva} ${level} ${letters === '' ? '0' : `${letters} ${gpa}`}`;
  }

  #cpl(level: number): string | null {
    if ((level === 3) === this.#inUser) return null;
    this.#inUser = level === 3;
    this.#needs64 = true;
    return level === 3 ? 'user' : 'enduser';
  }
}

/** An event that no op says. */
class Unsayable extends Error {}

const accessOps = { [EVENT.READ]: 'r', [EVENT.WRITE]: 'w', [EVENT.EXEC]: 'x' } as const;
const userKinds: ReadonlySet<number> = new Set([EVENT.READ, EVENT.WRITE, EVENT.EXEC, EVENT.CPL, EVENT.AC]);
const bitNames = { cr0: cr0Bits, cr4: cr4Bits, efer: eferBits } as const;

/** What an EDIT without flags does: W the other way, A and D clear. */
function toggled(flags: string): string {
  const kept = flags.replaceAll(/[ad]/g, '');
  return kept.includes('w') ? kept.replace('w', '') : kept.replace(/^p?/, '$&w');
}
