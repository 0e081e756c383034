// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { compareRecords } from '../../src/replay/compare.ts';
import { resolvePort } from '../../src/replay/every-port.ts';
import type { HostOptions } from '../../src/replay/host.ts';
import { isAvailable } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { parseOps } from '../../src/workload/parse.ts';

const toggle = parseOps(
  `pt A l4
ident A
map A 0x10000000 0x400000 4 4k p
prot32
enterlong A
r 0x10000000
cr0 -WP
w 0x10000000
cr0 +WP
`,
  'toggle.ops',
);

function compare(
  a: string,
  b: string,
  options: HostOptions = { kind: 'npt', implementation: 'tdp-mmu', vendor: 'svm' },
) {
  const [eraA, eraB] = [resolvePort(a), resolvePort(b)];
  const run = (era: typeof eraA) => {
    const result = replay(era, toggle, options);
    if (!isAvailable(result)) throw new Error(result.unavailable);
    return result;
  };
  return compareRecords(eraA, run(eraA), eraB, run(eraB));
}

describe('comparing two eras', () => {
  it('finds nothing between an era and itself', () => {
    const comparison = compare('root-role', 'root-role');
    expect(comparison.same).toBe(true);
    expect(comparison.steps).toEqual([]);
  });

  it('finds the WP toggle that 01b31714 keeps the roots over, and says why the other reloads', () => {
    // 01b31714bd90: kvm_post_set_cr0 returns after kvm_init_mmu when WP alone changed under TDP.
    const { steps, same } = compare('root-role', 'cr0wp');
    expect(same).toBe(false);
    const [first] = steps.filter(({ a, b }) => a.loads !== b.loads);
    expect(first).toMatchObject({ line: 7, op: 'cr0 -WP', a: { loads: 1, unloads: 1 }, b: { loads: 0, unloads: 0 } });
    expect(first!.a.reasons).toEqual(['kvm_post_set_cr0 (CR0.WP)']);
  });

  it('understands that 4-byte entries are the inverse of cr4_pae, and names what only one layout has', () => {
    const { steps, onlyIn } = compare('role-union', 'cpu-role', {
      kind: 'shadow',
      implementation: null,
      vendor: 'svm',
    });
    // With paging off 36d9594d still copies CR4.PAE and e5ed0fb0 does not; from CR0.PG on both say "8 bytes".
    const names = (line: number) =>
      steps.filter((step) => step.line === line).flatMap(({ roles }) => roles.map(({ name }) => name));
    expect(names(4)).toContain('has_4_byte_gpte');
    expect(names(7)).not.toContain('has_4_byte_gpte');
    expect(onlyIn.find(({ purpose }) => purpose === 'tables')!.b).toContain('ext.cr0_pg');
  });
});
