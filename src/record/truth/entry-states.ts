// SPDX-License-Identifier: GPL-2.0-only
import type { Abi } from '../kernel/abi.ts';
import type { RoleWords } from './role-words.ts';
import { hexOf, type TraceEvent } from './trace-text.ts';

/** What was in force at a run of guest entries: one line of `entry_states`. */
export type EntryState = Readonly<Record<string, string | number | null>> & { readonly entries: number };

const NO_ROOT = 0xffffffffffffffffn;
const mmus = ['root_mmu', 'guest_mmu', 'nested_mmu'] as const;
/** Bits of the `roots` argument of kvm_mmu_free_roots: the current root and three previous ones. */
const ALL_ROOTS = 0xfn;

/** Follows the MMU's state from one guest entry to the next. */
export class EntryStates {
  readonly #offsets: Abi['offsets'];
  readonly #words: RoleWords;
  readonly #runs: { state: Readonly<Record<string, string | number | null>>; entries: number }[] = [];
  /** Numbers of roots in the order they were first seen. */
  readonly #roots = new Map<string, number>();
  #vcpu: bigint | undefined;

  constructor({ offsets }: Abi, words: RoleWords) {
    this.#offsets = offsets;
    this.#words = words;
  }

  /** Entries with the same state in a row are one run. */
  get runs(): readonly EntryState[] {
    return this.#runs.map(({ state, entries }) => ({ ...state, entries }));
  }

  /** Remembers the vCPU that a probe shows. */
  noteVcpu(event: TraceEvent): void {
    if (!event.text.includes('vcpu=')) return;
    const vcpu = event.values().get('vcpu');
    if (vcpu !== undefined) this.#vcpu = BigInt(vcpu);
  }

  /** Whether a call of kvm_mmu_free_roots frees every root of the vCPU's own MMU. */
  freesAllRoots(event: TraceEvent): boolean {
    const values = event.values();
    const roots = BigInt(values.get('roots') ?? '0');
    if ((roots & ALL_ROOTS) !== ALL_ROOTS || this.#vcpu === undefined) return false;
    return this.#mmuName(this.#vcpu, BigInt(values.get('mmu')!)) === 'root_mmu';
  }

  /** Takes the state that svm_vcpu_run or vmx_vcpu_run shows. */
  enter(event: TraceEvent, phase: string | null): void {
    this.noteVcpu(event);
    const values = event.values();
    const state = this.#state(values, phase);
    const last = this.#runs.at(-1);
    if (last && JSON.stringify(last.state) === JSON.stringify(state)) last.entries++;
    else this.#runs.push({ state, entries: 1 });
  }

  #state(values: ReadonlyMap<string, string>, phase: string | null): Record<string, string | number | null> {
    const state: Record<string, string | number | null> = {
      mmu: this.#mmuName(BigInt(values.get('vcpu')!), BigInt(values.get('mmu')!)),
    };
    for (const name of ['root_role', 'cpu_role', 'mmu_role'] as const) {
      const value = values.get(name);
      if (value === undefined) continue;
      const word = hexOf(value);
      state[name] = word;
      this.#words.note(name, word);
    }
    for (const name of ['root_level', 'shadow_root_level', 'direct_map']) {
      const value = values.get(name);
      if (value !== undefined) state[name] = Number(value);
    }
    const pgd = values.get('pgd');
    const root = values.get('hpa')!;
    if (!this.#roots.has(root)) this.#roots.set(root, this.#roots.size);
    return {
      ...state,
      pgd: pgd === undefined ? null : hexOf(pgd),
      root: this.#roots.get(root)!,
      prev_roots_valid: [0, 1, 2].filter((i) => BigInt(values.get(`prevh${i}`) ?? NO_ROOT) !== NO_ROOT).length,
      phase,
    };
  }

  /** The MMU's name by its place in the vCPU, or the distance where it has none. */
  #mmuName(vcpu: bigint, mmu: bigint): string {
    const distance = BigInt.asUintN(64, mmu - vcpu);
    const name = mmus.find((each) => BigInt(this.#offsets[`vcpu.${each}`] ?? -1) === distance);
    return name ?? `0x${distance.toString(16)}`;
  }
}
