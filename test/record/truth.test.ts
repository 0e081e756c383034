// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { guestFaults } from '../../src/record/truth/guest-results.ts';
import { truthOf } from '../../src/record/truth/truth.ts';
import { truthJson } from '../../src/record/truth/truth-json.ts';
import { recordedAbi, recordedTrace, recordedTruth } from './recorded.ts';

/** `<release>.<mode>.<workload>.trace.gz`: raw traces of five kernels, AMD and Intel, with the old and the new names of things. */
const traces = readdirSync(new URL('traces', import.meta.url));

test('traces of every form of role words', () => expect(traces).toHaveLength(5));

/** The part of `ours` that a trimmed recording kept. */
const like = (ours: Record<string, unknown>, theirs: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.keys(theirs).map((key) => [key, ours[key]]));

describe.each(traces)('%s', (file) => {
  const [, release, mode, workload] = /^(.+)\.(\w+)\.([\w-]+)\.trace\.gz$/.exec(file)!;
  const input = { place: file, trace: recordedTrace(file), histogram: '' };
  // As a reader of the file sees it.
  const ours = JSON.parse(truthJson(truthOf(input, recordedAbi(release!)))) as ReturnType<typeof recordedTruth>;
  const theirs = recordedTruth(`${release}/${mode}/${workload}`);

  test('total', () => expect(like(ours.total, theirs.total)).toEqual(theirs.total));

  test('phases', () => {
    expect(Object.keys(ours.phases)).toEqual(expect.arrayContaining(Object.keys(theirs.phases)));
    for (const [phase, block] of Object.entries(theirs.phases)) expect(like(ours.phases[phase]!, block)).toEqual(block);
  });

  test('what was in force at each entry', () =>
    expect(ours.entry_states).toMatchObject(theirs.entry_states as object[]));

  test('role words', () => {
    expect(like(ours.role_words, { cpu_role: 0, mmu_role: 0 })).toEqual(
      like(theirs.role_words, { cpu_role: 0, mmu_role: 0 }),
    );
    // Before there were probes on events, words of pages came from a histogram that was recorded apart.
    expect(theirs.role_words.root_role).toMatchObject(ours.role_words.root_role as object);
  });
});

/** Lines as tracefs prints them, with the header that says how many there are. */
function traceText(events: readonly string[], kept = events.length): string {
  const lines = events.map((event, i) => `         monitor-153     [000] d..1.     7.${i}: ${event}`);
  const header = `# tracer: nop\n#\n# entries-in-buffer/entries-written: ${kept}/${events.length}   #P:1\n#\n`;
  return `${header}${lines.join('\n')}\n`;
}

const abi = {
  offsets: { 'vcpu.root_mmu': 0x100, 'vcpu.guest_mmu': 0x200 },
  base: [
    { name: 'level', shift: 0, width: 4 },
    { name: 'cr0_wp', shift: 13, width: 1 },
  ],
  extended: [{ name: 'cr4_smep', shift: 5, width: 1 }],
  layouts: {},
};
const count = (events: readonly string[], histogram = '') =>
  truthOf({ place: 'hand', trace: traceText(events), histogram }, abi);

/** A guest entry of the vCPU at 0x1000. */
const entry = (mmu: string, hpa: string, cpuRole = '0x2000002004'): string =>
  `svm_vcpu_run: (svm_vcpu_run+0x0/0x720 [kvm_amd]) vcpu=0x1000 mmu=${mmu} hpa=${hpa} pgd=0x9000 root_role=0x4 ` +
  `cpu_role=${cpuRole} prev0=0x7000 prevh0=0x8000 prev1=0x0 prevh1=0xffffffffffffffff`;

test('a run of a few events, counted by hand', () => {
  const truth = count([
    'kvm_mmu_free_roots: (kvm_mmu_free_roots+0x0/0x1c0 [kvm]) roots=0xf mmu=0x1100',
    'tracing_mark_write: guest start features=1a',
    entry('0x1100', '0x5000'),
    entry('0x1100', '0x5000'),
    'tracing_mark_write: guest phase 1 one cr0=11 cr3=0 guest_faults=0',
    'kvm_set_cr0: (kvm_set_cr0+0x0/0x220 [kvm]) val=0x11',
    'kvm_mmu_reset_context: (kvm_mmu_reset_context+0x0/0x1 [kvm]) vcpu=0x1000 mmu=0x1100',
    'kvm_mmu_free_roots: (kvm_mmu_free_roots+0x0/0x1c0 [kvm]) roots=0xffffffffffffffff mmu=0x1100',
    'kvm_mmu_free_roots: (kvm_mmu_free_roots+0x0/0x1c0 [kvm]) roots=0xffffffffffffffff mmu=0x1200',
    'kvm_mmu_load: (kvm_mmu_load+0x0/0x890 [kvm]) vcpu=0x1000 mmu=0x1100',
    'kvm_mmu_get_page: sp gen 0 gfn 0 l4 8-byte q0 direct wux nxe ad root 0 sync new',
    'get_page_raw: (kvmmmu.kvm_mmu_get_page) role=0x3784 gfn=0x0 created=1',
    entry('0x1200', '0x6000', '0x4'),
    'kvm_exit: vcpu 0 reason npf rip 0x8000 info1 0x14',
    'kvm_page_fault: vcpu 0 rip 0x8000 address 0x8000 error_code 0x100000014',
    'kvm_tdp_mmu_spte_changed: as id 0 gfn 0 level 4 old_spte 0 new_spte e4fd827',
    'kvm_tdp_mmu_spte_changed: as id 0 gfn 0 level 4 old_spte 0 new_spte 5a0',
    'kvm_mmu_new_pgd: (kvm_mmu_new_pgd+0x0/0x1 [kvm]) new_pgd=0x2000 vcpu=0x1000 mmu=0x1100',
    entry('0x1100', '0x5000'),
    'kvm_exit: vcpu 0 reason interrupt rip 0x8010 info1 0x0',
    'tracing_mark_write: guest halt',
    'kvm_mmu_prepare_zap_page: sp gen 0 gfn 0 l4 8-byte q0 direct wux nxe ad root 0 sync',
  ]);
  expect(truth.features_bits).toBe(0x1a);
  expect(Object.keys(truth.phases)).toEqual(['(before first phase)', 'one', '(teardown)']);
  expect(truth.phases['(before first phase)']).toEqual({ entries: 2 });
  expect(truth.phases.one).toEqual({
    mmu_load: 1,
    // Of root_mmu; the other call is about guest_mmu.
    full_unloads: 1,
    mmu_free_roots_calls: 2,
    reset_context: 1,
    new_pgd: 1,
    // No kvm_mmu_load before the next entry.
    new_pgd_cached: { hit: 1 },
    // The change from nothing to nothing is none.
    tdp_spte_changed: 1,
    page_faults: 1,
    page_faults_by_error: { '0x100000014': 1 },
    entries: 2,
    exits: { npf: 1, interrupt: 1 },
    exits_guest_caused: 1,
    guest_register_writes: { cr0: 1 },
    cr_write_effect: { 'cr0: kvm_mmu_reset_context > kvm_mmu_free_roots > kvm_mmu_free_roots > kvm_mmu_load': 1 },
    get_page: { total: 1, new: 1 },
    get_page_new_by_role: { 'l4 8-byte q0 direct wux nxe ad': 1 },
    get_page_raw_roles: { '0x3784 new': 1 },
    guest_state_at_phase_start: { cr0: '11', cr3: '0', guest_faults: '0' },
  });
  expect(truth.phases['(teardown)']).toEqual({ zap_pages: 1, zap_by_role: { 'l4 8-byte q0 direct wux nxe ad': 1 } });
  // The first call came before any vCPU was seen.
  expect(truth.total).toMatchObject({ mmu_free_roots_calls: 3, full_unloads: 1, entries: 4, sync_roots: 0 });
  const common = { pgd: '0x9000', prev_roots_valid: 1, root_role: '0x4' };
  const first = { ...common, mmu: 'root_mmu', root: 0, cpu_role: '0x2000002004' };
  expect(truth.entry_states).toEqual([
    { ...first, phase: '(before first phase)', entries: 2 },
    { ...common, mmu: 'guest_mmu', root: 1, cpu_role: '0x4', phase: 'one', entries: 1 },
    { ...first, phase: 'one', entries: 1 },
  ]);
  expect(truth.role_words.cpu_role).toEqual({
    '0x2000002004': { level: 4, cr0_wp: 1, 'ext.cr4_smep': 1 },
    '0x4': { level: 4 },
  });
  expect(truth.role_words.root_role).toEqual({ '0x3784': { level: 4, cr0_wp: 1 }, '0x4': { level: 4 } });
});

test('a load after new page tables is a miss; errors of the monitor are kept', () => {
  const truth = count([
    'tracing_mark_write: guest start features=0',
    'kvm_mmu_new_cr3: (kvm_mmu_new_cr3+0x0/0x1 [kvm]) new_pgd=0x2000 vcpu=0x1000 mmu=0x1100',
    'kvm_mmu_load: (kvm_mmu_load+0x0/0x890 [kvm]) vcpu=0x1000 mmu=0x1100',
    entry('0x1100', '0x5000'),
    'tracing_mark_write: guest error exit_reason=17 rip=8000',
  ]);
  // The former name of kvm_mmu_new_pgd counts as that.
  expect(truth.total).toMatchObject({ new_pgd: 1, new_pgd_cached: { miss: 1 } });
  expect(truth.errors).toEqual(['guest error exit_reason=17 rip=8000']);
});

test('the histogram gives role words where the trace has none', () => {
  const { get_page_hist, role_words } = count(
    [],
    '{ role:       2004, created:          1 } hitcount:         12\n{ role: 4, created: 0 } hitcount: 3\n',
  );
  expect(get_page_hist).toEqual({ '0x2004 new': 12, '0x4 existing': 3 });
  expect(role_words.root_role).toEqual({ '0x2004': { level: 4, cr0_wp: 1 }, '0x4': { level: 4 } });
});

describe('traces that cannot be counted', () => {
  test('lost events', () => {
    const trace = traceText(['kvm_entry: vcpu 0, rip 0x8000', 'kvm_entry: vcpu 0, rip 0x8001'], 1);
    expect(() => truthOf({ place: 'x.trace', trace, histogram: '' }, abi)).toThrow('x.trace: 1 of 2 events were kept');
  });

  test('something else', () => {
    expect(() => truthOf({ place: 'x.trace', trace: 'hello\n', histogram: '' }, abi)).toThrow(
      'x.trace: no "# tracer:" line',
    );
  });
});

test('faults from the log of the guest', () => {
  const memory = Buffer.alloc(0x80000);
  memory.writeUInt32LE(2, 0x800);
  memory.writeBigUInt64LE(0xffff800000000010n, 0x50000);
  memory.writeUInt32LE(7, 0x50008);
  memory.writeUInt32LE((14 << 16) | 2, 0x5000c);
  memory.writeUInt32LE((13 << 16) | 0, 0x5001c);
  expect(guestFaults(memory, ['one', 'two'])).toEqual([
    { vector: 14, cr2: '0xffff800000000010', error: 7, phase: 'two' },
    { vector: 13, cr2: '0x0', error: 0, phase: '' },
  ]);
});
