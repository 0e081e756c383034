// SPDX-License-Identifier: GPL-2.0-only
import { eraRecord, halfLayout, layoutRecord } from '../../src/facts/index.ts';
import type { Counts, EntryState, ReplayRecord, ReplayResult, WriteEffect } from '../../src/replay/record.ts';
import { reportEra } from '../../src/replay/report-eras.ts';
import { buildReport, type ReportModel, reportMmu } from '../../src/replay/report-model.ts';
import type { ReportPort } from '../../src/replay/report-roles.ts';
import { encode } from '../../src/role/layout.ts';
import { Counters, type CounterValues } from '../../src/sim/counters.ts';
import type { WalkCost } from '../../src/sim/walk-cost.ts';

/** Ports as a report sees them, from the layouts that the facts give each era. */
export const ports: readonly ReportPort[] = [
  { id: 'base-role', words: [['base_role', false]] as const },
  { id: 'v5.17', words: [['mmu_role', true]] as const },
  { id: 'no-unload-v2', words: [['mmu_role', true]] as const },
  {
    id: 'cpu-role',
    words: [
      ['cpu_role', true],
      ['mmu_role', true],
    ] as const,
  },
  {
    id: 'cr0wp',
    words: [
      ['cpu_role', true],
      ['root_role', false],
    ] as const,
  },
].map(({ id, words }) => {
  const layout = layoutRecord(eraRecord(id).layout);
  return {
    id,
    layouts: { page: halfLayout(layout, 'base')!, extended: halfLayout(layout, 'ext') ?? null },
    roleWords: words.map(([name, extended]) => ({ name, extended })),
  };
});

export const portOf = (id: string): ReportPort => ports.find((port) => port.id === id)!;

/** Counters and costs that a test cares about; all others are 0. */
export interface Figures {
  readonly kvm?: Partial<CounterValues>;
  readonly cost?: Partial<WalkCost>;
}

const noCost: WalkCost = {
  accesses: 0,
  tlb_misses: 0,
  reads_guest: 0,
  reads_nested: 0,
  reads_shadow: 0,
  tlb_flushes: 0,
  tlb_flushes_address: 0,
};

export const counts = ({ kvm, cost }: Figures = {}): Counts => ({
  kvm: { ...new Counters().snapshot(), ...kvm },
  cost: { ...noCost, ...cost },
  entries: 10,
  exits: { 'write cr0': 4 },
  registerWrites: { cr0: 4 },
  newByRole: {},
  existingByRole: {},
  zappedByRole: {},
  faultsByError: {},
});

/** What a test says about one replay. */
export interface Replayed extends Partial<Omit<ReplayRecord, 'total'>> {
  readonly figures?: Figures;
}

/** A record of one era with the given parts. */
export function record(era: string, mode: string, { figures, ...parts }: Replayed = {}): ReplayRecord {
  return {
    workload: 'wp',
    era,
    mode,
    roleWords: portOf(era).roleWords.map(({ name }) => name),
    phases: [{ name: 'toggle', counts: counts(figures) }],
    total: counts(figures),
    entryStates: [],
    reloads: [],
    writeEffects: [],
    steps: [],
    notInEra: [],
    guestFaults: [],
    executed: 100,
    stopped: null,
    ...parts,
  };
}

/** A state at guest entry with the words given field by field; extended fields carry `ext.`. */
export function entryState(
  era: string,
  words: readonly Readonly<Record<string, number>>[],
  parts: Partial<EntryState> = {},
): EntryState {
  const { layouts, roleWords } = portOf(era);
  return {
    phase: 'toggle',
    vcpu: 0,
    mmu: 'root_mmu',
    roles: words.map((fields, index) => {
      const half = (isExtended: boolean) =>
        Object.fromEntries(
          Object.entries(fields)
            .filter(([name]) => name.startsWith('ext.') === isExtended)
            .map(([name, value]) => [name.replace('ext.', ''), value]),
        );
      return {
        base: encode(layouts.page, half(false)),
        extended: roleWords[index]!.extended ? encode(layouts.extended!, half(true)) : null,
      };
    }),
    guestLevels: 4,
    hostLevels: 4,
    pgd: 0,
    root: 0,
    previousRootsValid: 0,
    entries: 1,
    ...parts,
  };
}

export const writeEffect = (write: string, calls: readonly string[] | null, count: number): WriteEffect => ({
  write,
  calls,
  count,
  perPhase: { toggle: count },
});

/** A model of one workload under NPT with the TDP MMU, replayed as given. */
export function modelOf(
  results: readonly ReplayResult[],
  { name = 'wp', title = 'CR0.WP off and on' }: { readonly name?: string; readonly title?: string } = {},
): ReportModel {
  return buildReport({
    eras: results.map(({ era }) => portOf(era)),
    told: results.map(({ era }) => reportEra(eraRecord(era), true)),
    mmus: [reportMmu({ kind: 'npt', implementation: 'tdp-mmu', vendor: 'svm' })],
    runs: [{ name, title, results: [results] }],
  });
}

/** Five eras that toggle CR0.WP: roots rebuilt, found again, and kept. */
export function toggles(): ReplayResult[] {
  const table = { level: 4, direct: 1, access: 7 };
  const unload = ['kvm_mmu_reset_context', 'kvm_mmu_unload', 'kvm_init_mmu', 'kvm_mmu_load'];
  const reload = {
    by: 'kvm_post_set_cr0',
    bits: 'CR0.WP',
    chain: ['kvm_set_cr0', 'kvm_mmu_reset_context', 'kvm_mmu_unload'],
    count: 542,
    perPhase: { toggle: 542 },
    line: 23,
  };
  const first = { by: '', bits: '', chain: [], count: 1, perPhase: { toggle: 1 }, line: 1 };
  const step = {
    step: 3,
    line: 23,
    op: 'cr0 -WP',
    phase: 'toggle',
    vcpu: 0,
    roles: [],
    loads: 1,
    unloads: 1,
    hits: 0,
    reasons: ['kvm_post_set_cr0 (CR0.WP)'],
  };
  const rebuilt = (era: string, words: readonly Readonly<Record<string, number>>[]) =>
    record(era, 'npt-tdp-mmu', {
      figures: {
        kvm: { mmu_load: 543, full_unloads: 542, page_faults: 3650 },
        cost: { accesses: 9000, tlb_misses: 4000, reads_guest: 8000, reads_nested: 40000 },
      },
      reloads: [first, reload],
      writeEffects: [writeEffect('CR0.WP', unload, 542), writeEffect('CR3', null, 3)],
      steps: [step],
      entryStates: [entryState(era, words, { entries: 543 })],
    });
  const modern = { ...table, efer_nx: 1, cr0_wp: 1, 'ext.valid': 1, 'ext.cr4_pae': 1, 'ext.efer_lma': 1 };
  return [
    { workload: 'wp', era: 'base-role', mode: 'npt-tdp-mmu', unavailable: 'not in this era: npt with the tdp-mmu MMU' },
    rebuilt('v5.17', [{ ...modern, 'ext.cr0_pg': 1 }]),
    record('no-unload-v2', 'npt-tdp-mmu', {
      figures: {
        kvm: { mmu_load: 3, full_unloads: 0, page_faults: 12 },
        cost: { accesses: 9000, tlb_misses: 900, reads_guest: 900, reads_nested: 6000 },
      },
      reloads: [first],
      writeEffects: [writeEffect('CR0.WP', ['kvm_mmu_reset_context', 'kvm_init_mmu', 'kvm_mmu_update_root'], 542)],
      entryStates: [entryState('no-unload-v2', [{ ...modern, 'ext.cr0_pg': 1 }], { entries: 543 })],
    }),
    rebuilt('cpu-role', [{ ...modern, 'ext.cr0_pg': 1 }, { ...modern }]),
    record('cr0wp', 'npt-tdp-mmu', {
      figures: {
        kvm: { mmu_load: 1, page_faults: 10 },
        cost: { accesses: 9000, tlb_misses: 900, reads_guest: 900, reads_nested: 5900 },
      },
      reloads: [first],
      writeEffects: [writeEffect('CR0.WP', ['kvm_init_mmu'], 542)],
      entryStates: [
        entryState('cr0wp', [{ ...table, efer_nx: 1, cr0_wp: 1, 'ext.valid': 1, 'ext.efer_lma': 1 }, table], {
          entries: 543,
        }),
      ],
      notInEra: [
        { line: 40, op: 'vmrun vm body', feature: 'nested-svm', reason: 'not in this era: nested-svm', count: 2 },
      ],
    }),
  ];
}
