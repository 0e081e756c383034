// SPDX-License-Identifier: GPL-2.0-only
import type { Abi } from '../kernel/abi.ts';
import { type Block, Counts, entryEvents, phaseBlock, totalBlock } from './counts.ts';
import { type EntryState, EntryStates } from './entry-states.ts';
import { countEvent, isIdle } from './events.ts';
import { type DecodedWords, RoleWords } from './role-words.ts';
import { type TraceEvent, traceEvents } from './trace-text.ts';
import { registerWriters, writeEffects } from './watched.ts';

/** The content of truth.json. */
export interface Truth {
  readonly errors: readonly string[];
  /** What the guest was told of its CPU, null when it never began. */
  readonly features_bits: number | null;
  readonly total: Block;
  /** `0x3784 new` → pages, from the kernel's histogram. */
  readonly get_page_hist: Readonly<Record<string, number>>;
  readonly phases: Readonly<Record<string, Block>>;
  readonly role_words: DecodedWords;
  readonly entry_states: readonly EntryState[];
}

/** Phases that are no phases of the workload: before its first marker, and after its HLT. */
const BEFORE = '(before first phase)';
const TEARDOWN = '(teardown)';

/** A marker of the monitor. */
const marker = /^\w+ (start|phase|error|halt)\b ?(.*)$/;

/** A trace with what is needed to read it. */
export interface TraceFiles {
  /** For messages. */
  readonly place: string;
  readonly trace: string;
  /** Text of the histogram over kvm_mmu_get_page, empty without one. */
  readonly histogram: string;
}

/** Counts a trace. UserError when events were lost. */
export function truthOf({ place, trace, histogram }: TraceFiles, abi: Abi): Truth {
  const counter = new Counter(abi);
  for (const event of traceEvents(trace, place)) counter.take(event);
  return counter.truth(histogram);
}

class Counter {
  readonly #total = new Counts();
  readonly #phases = new Map<string, Counts>();
  #phase: string | undefined;
  readonly #errors: string[] = [];
  #features: number | null = null;
  readonly #words: RoleWords;
  readonly #states: EntryStates;
  /** The register write that KVM works on, and the calls it led to. */
  #write: { register: string; counts: readonly Counts[]; calls: string[] } | undefined;
  /** Where kvm_mmu_new_pgd was called and no entry to the guest came yet. */
  #newPgd: readonly Counts[] | undefined;

  constructor(abi: Abi) {
    this.#words = new RoleWords(abi);
    this.#states = new EntryStates(abi, this.#words);
  }

  take(event: TraceEvent): void {
    if (event.name === 'tracing_mark_write') this.#mark(event.text);
    else if (!isIdle(event)) this.#takeEvent(event);
  }

  #takeEvent(event: TraceEvent): void {
    // The name before v5.8; both names count.
    if (event.name === 'kvm_mmu_new_cr3') this.#count('kvm_mmu_new_pgd');
    const name = event.name === 'kvm_mmu_new_cr3' ? 'kvm_mmu_new_pgd' : event.name;
    this.#count(event.name);
    for (const counts of this.#current) {
      const role = countEvent(counts, event);
      if (role !== undefined) this.#words.note('root_role', role);
    }
    this.#registerWrite(event.name);
    if (name === 'kvm_mmu_free_roots' && this.#states.freesAllRoots(event)) this.#count('full_unload');
    if (name === 'kvm_mmu_new_pgd') this.#newPgd = this.#phase === undefined ? undefined : this.#current;
    if (name === 'kvm_mmu_load') this.#settleNewPgd('miss');
    if (entryEvents.includes(name)) this.#enter(event);
    else this.#states.noteVcpu(event);
  }

  truth(histogram: string): Truth {
    const hist: Record<string, number> = {};
    for (const [, role, created, hits] of histogram.matchAll(
      /role:\s*([0-9a-f]+), created:\s*(\d+) \} hitcount:\s*(\d+)/g,
    )) {
      hist[`0x${role} ${created === '0' ? 'existing' : 'new'}`] = Number(hits);
      this.#words.note('root_role', `0x${role}`);
    }
    return {
      errors: this.#errors,
      features_bits: this.#features,
      total: totalBlock(this.#total),
      get_page_hist: hist,
      phases: Object.fromEntries([...this.#phases].map(([phase, counts]) => [phase, phaseBlock(counts)])),
      role_words: this.#words.decoded(),
      entry_states: this.#states.runs,
    };
  }

  /** What an event counts for: the whole run, and the phase once the guest has begun. */
  get #current(): readonly Counts[] {
    return this.#phase === undefined ? [this.#total] : [this.#total, this.#phases.get(this.#phase)!];
  }

  #count(event: string): void {
    for (const { events } of this.#current) events.add(event);
  }

  #mark(text: string): void {
    const [, what, rest = ''] = marker.exec(text) ?? [];
    if (what === 'start') {
      this.#features = Number.parseInt(/features=(\w+)/.exec(rest)?.[1] ?? '0', 16);
      this.#begin(BEFORE);
    } else if (what === 'phase') {
      const [, name, ...registers] = rest.split(' ');
      this.#begin(name!).start ??= Object.fromEntries(registers.map((each) => each.split('=') as [string, string]));
    } else if (what === 'halt') this.#begin(TEARDOWN);
    else if (what === 'error') this.#errors.push(text);
  }

  #begin(phase: string): Counts {
    this.#phase = phase;
    const counts = this.#phases.get(phase) ?? new Counts();
    this.#phases.set(phase, counts);
    return counts;
  }

  #registerWrite(event: string): void {
    const register = registerWriters[event];
    if (register) {
      for (const { registerWrites } of this.#current) registerWrites.add(register);
      // EFER is written in the course of other writes too, so what follows cannot be told to be its effect.
      if (register !== 'efer') this.#write = { register, counts: this.#current, calls: [] };
    }
    if (writeEffects.has(event)) this.#write?.calls.push(event);
  }

  #enter(event: TraceEvent): void {
    this.#settleNewPgd('hit');
    if (this.#write) {
      const { register, counts, calls } = this.#write;
      for (const { writeEffects } of counts) writeEffects.add(`${register}: ${calls.join(' > ') || 'nothing'}`);
      this.#write = undefined;
    }
    this.#states.enter(event, this.#phase ?? null);
  }

  /** Whether the root of the new page tables was one that KVM still had. */
  #settleNewPgd(outcome: 'hit' | 'miss'): void {
    for (const { newPgd } of this.#newPgd ?? []) newPgd.add(outcome);
    this.#newPgd = undefined;
  }
}
