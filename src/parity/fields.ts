// SPDX-License-Identifier: GPL-2.0-only
import type { Counts } from '../replay/record.ts';
import type { Observed } from './observer.ts';
import type { TruthBlock } from './recording.ts';

/** What must be exact (A), what the shadow pages do (B), what depends on every single access of the guest (C). */
export type Group = 'A' | 'B' | 'C';
export const groups: readonly Group[] = ['A', 'B', 'C'];

/** A number, or numbers by name without the zeros. */
export type FieldValue = number | Readonly<Record<string, number>>;

/** What the replay knows of one phase, or of the whole run. */
export interface Replayed {
  readonly counts: Counts;
  readonly observed: Observed;
}

/** One field of every phase and of the total: where the recording has it, and where the replay does. */
export interface Field {
  readonly name: string;
  readonly group: Group;
  readonly recorded: (block: TruthBlock) => FieldValue;
  /** `faultCodeBits`: what the kernel's tracepoint keeps of an error code. */
  readonly replayed: (replayed: Replayed, faultCodeBits: 32 | 64) => FieldValue;
}

const numberIn = (block: TruthBlock, name: string): number => {
  const value = block[name];
  return typeof value === 'number' ? value : 0;
};

const recordIn = (block: TruthBlock, name: string): Readonly<Record<string, number>> => {
  const value = block[name];
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, count]) => typeof count === 'number' && count !== 0));
};

/** Error codes as a tracepoint of that width shows them. */
function cutCodes(counts: Readonly<Record<string, number>>, bits: 32 | 64): Readonly<Record<string, number>> {
  if (bits === 64) return counts;
  const cut: Record<string, number> = {};
  for (const [code, count] of Object.entries(counts)) {
    const low = `0x${(Number(code) % 2 ** 32).toString(16)}`;
    cut[low] = (cut[low] ?? 0) + count;
  }
  return cut;
}

type Kvm = Counts['kvm'];

const counter = (group: Group, name: string & keyof Kvm): Field => ({
  name,
  group,
  recorded: (block) => numberIn(block, name),
  replayed: ({ counts }) => counts.kvm[name],
});

/** Calls of a kernel function, under the name that truth.json has for them. */
const calls = (group: Group, name: string, ...functions: readonly string[]): Field => ({
  name,
  group,
  recorded: (block) => numberIn(block, name),
  replayed: ({ observed }) => functions.reduce((sum, each) => sum + (observed.calls[each] ?? 0), 0),
});

/** One number of a record such as `get_page.new`. */
const member = (group: Group, [record, key]: readonly [string, string], of: (replayed: Replayed) => number): Field => ({
  name: `${record}.${key}`,
  group,
  recorded: (block) => recordIn(block, record)[key] ?? 0,
  replayed: of,
});

/** A whole record is one field: it is exact when every number in it is. */
const record = (
  group: Group,
  name: string,
  of: (replayed: Replayed, faultCodeBits: 32 | 64) => Readonly<Record<string, number>>,
): Field => ({
  name,
  group,
  recorded: (block) => recordIn(block, name),
  replayed: of,
});

/** Fields of phases and total, in the order of reports. Names are those of truth.json. */
export const fields: readonly Field[] = [
  calls('A', 'mmu_load', 'kvm_mmu_load'),
  counter('A', 'full_unloads'),
  calls('A', 'reset_context', 'kvm_mmu_reset_context'),
  calls('A', 'init_mmu', 'kvm_init_mmu'),
  calls('A', 'new_pgd', 'kvm_mmu_new_pgd', 'kvm_mmu_new_cr3'),
  member('A', ['new_pgd_cached', 'hit'], ({ observed }) => observed.newPgdHit),
  member('A', ['new_pgd_cached', 'miss'], ({ observed }) => observed.newPgdMiss),
  calls('A', 'sync_roots', 'kvm_mmu_sync_roots'),
  calls('A', 'sync_prev_roots', 'kvm_mmu_sync_prev_roots'),
  calls('A', 'roots_allocated_shadow', 'mmu_alloc_root'),
  counter('A', 'roots_allocated_tdp_mmu'),
  record('A', 'guest_register_writes', ({ observed }) => observed.writes),
  record('A', 'cr_write_effect', ({ observed }) => observed.effects),
  member('B', ['get_page', 'total'], ({ counts: { kvm } }) => kvm.get_page_new + kvm.get_page_existing),
  member('B', ['get_page', 'new'], ({ counts }) => counts.kvm.get_page_new),
  member('B', ['get_page', 'existing'], ({ counts }) => counts.kvm.get_page_existing),
  record('B', 'get_page_new_by_role', ({ counts }) => counts.newByRole),
  record('B', 'get_page_existing_by_role', ({ counts }) => counts.existingByRole),
  counter('B', 'sync_page'),
  counter('B', 'unsync_page'),
  counter('B', 'zap_pages'),
  record('B', 'zap_by_role', ({ counts }) => counts.zappedByRole),
  counter('B', 'pte_write'),
  counter('B', 'invlpg'),
  counter('B', 'fast_page_fault'),
  record('C', 'page_faults_by_error', ({ counts }, bits) => cutCodes(counts.faultsByError, bits)),
  counter('C', 'set_spte'),
  counter('C', 'tdp_spte_changed'),
  counter('C', 'guest_walks'),
  counter('C', 'guest_walk_elements'),
];
