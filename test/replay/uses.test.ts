// SPDX-License-Identifier: GPL-2.0-only
import { beforeAll, describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { usesOf as tableOf } from '../../src/facts/load.ts';
import { type UseRow, usesOf } from '../../src/replay/uses.ts';
import { usesCsv, usesText } from '../../src/report/uses.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';
import { broadWays, broadWorkloads } from './uses-workloads.ts';

const workloads = broadWorkloads();

/** Functions that the question "when is which role used" was asked about, and what answers it in era cpu-role. */
const asked = [
  'is_cr0_pg',
  'is_cr4_pae',
  'shadow_walk_init_using_root',
  'mmu_alloc_shadow_roots',
  'kvm_mmu_sync_roots',
  // permissions and reserved bits
  'update_permission_bitmask',
  'update_pkru_bitmask',
  'reset_rsvds_bits_mask',
  'reset_shadow_zero_bits_mask',
  'reset_tdp_shadow_zero_bits_mask',
  // the fault path
  'walk_addr_generic',
  'permission_fault',
  'page_fault',
  'fetch',
  'kvm_mmu_page_fault',
  // the page look-up
  'kvm_mmu_get_page',
];

describe.each(eras.filter(({ id }) => tableOf(id) !== undefined).map((era) => [era.id, era] as const))(
  'reads of roles in %s',
  (_, era) => {
    let rows: readonly UseRow[] = [];
    beforeAll(() => {
      rows = usesOf(era, workloads, broadWays(era)).rows;
    }, 120_000);
    const named = (wanted: (row: UseRow, reads: number) => boolean): string[] =>
      rows.flatMap((row) =>
        row.fields
          .filter(({ reads }) => wanted(row, reads))
          .map(({ name }) => `${row.function} reads ${row.word}.${name}`),
      );

    it('are all in the table', () => {
      expect(named(({ listed }) => !listed)).toEqual([]);
    });

    it('happen wherever the table says so and the port has the function', () => {
      expect(named(({ listed, notModelled }, reads) => listed && notModelled === undefined && reads === 0)).toEqual([]);
    });

    it('never happen in what is said to be left out', () => {
      expect(named(({ notModelled }, reads) => notModelled !== undefined && reads > 0)).toEqual([]);
    });

    it('are left out for few functions', () => {
      const leftOut = new Set(rows.filter(({ notModelled }) => notModelled !== undefined).map((row) => row.function));
      expect(leftOut.size).toBeLessThan(new Set(rows.map((row) => row.function)).size / 5);
    });
  },
);

describe('the table of cpu-role', () => {
  const era = eras.find(({ id }) => id === 'cpu-role')!;
  const report = usesOf(era, [loadWorkload('wp-toggle')], [{ kind: 'shadow', implementation: null, vendor: 'svm' }]);
  const wordsOf = (name: string): string[] =>
    report.rows.filter((row) => row.function === name).map(({ word }) => word);

  it.each(asked)('has %s, modelled, with a reason and an upstream address', (name) => {
    const rows = report.rows.filter((row) => row.function === name);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row.notModelled).toBeUndefined();
      expect(row.why).not.toBe('');
      expect(row.url).toMatch(/^https:\/\/.*arch\/x86\/kvm\//);
    }
  });

  // Walking and judging the guest's tables is cpu_role's; what KVM's own tables are keyed by is mmu_role's.
  it('tells the two roles apart', () => {
    expect(wordsOf('is_cr0_pg')).toEqual(['cpu_role']);
    expect(wordsOf('update_permission_bitmask')).toEqual(['cpu_role']);
    expect(wordsOf('kvm_mmu_new_pgd')).toEqual(['mmu_role']);
    expect(wordsOf('kvm_mmu_get_page')).toContain('mmu_role');
    expect(wordsOf('kvm_mmu_get_page')).not.toContain('cpu_role');
  });

  it('counts a read through an accessor for the accessor and for its caller', () => {
    const reads = (name: string, field: string): number =>
      report.rows.find((row) => row.function === name && row.word === 'cpu_role')!.fields.find((f) => f.name === field)!
        .reads;
    const callers = ['init_kvm_tdp_mmu', 'shadow_mmu_init_context', 'reset_guest_paging_metadata'];
    expect(reads('is_cr0_pg', 'cr0_pg')).toBe(callers.reduce((sum, name) => sum + reads(name, 'cr0_pg'), 0));
    expect(reads('is_cr0_pg', 'cr0_pg')).toBeGreaterThan(0);
  });

  it('fits 120 columns as text, and makes links of places where a terminal can', () => {
    const plain = usesText([report], { width: 120, link: (title) => title });
    expect(Math.max(...plain.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(120);
    expect(plain).toMatch(/^shadow_mmu_init_context .* mmu\.c:4908$/m);
    const linked = usesText([report], { width: 120, link: (title, url) => `[${title}](${url})` });
    expect(linked).toMatch(/^shadow_mmu_init_context .*\[mmu\.c:4908\]\(https:[^ ]*mmu\.c[^ ]*4908\)$/m);
  });

  it('says in every form what is left out', () => {
    expect(usesText([report], { width: 120, link: (title) => title })).toContain('Not in the port');
    expect(usesCsv([report])).toMatch(
      /^cpu-role,kvm_arch_setup_async_pf,mmu,direct_map,0,true,.*async page faults are left out$/m,
    );
  });
});
