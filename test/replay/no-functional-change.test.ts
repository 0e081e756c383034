// SPDX-License-Identifier: GPL-2.0-only
/**
 * Three of the commits say that they change how roles are kept and not what KVM does. Replaying before and after must find
 * nothing: the same work at every step, the same counters, the same words for the tables.
 */
import { describe, expect, it } from 'vitest';
import { resolvePort } from '../../src/replay/every-port.ts';
import type { HostOptions } from '../../src/replay/host.ts';
import { isAvailable, type ReplayRecord } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { bundledWorkloads, loadWorkload } from '../../src/workload/bundled.ts';

const shadow: readonly HostOptions[] = [
  { kind: 'shadow', implementation: null, vendor: 'svm' },
  { kind: 'shadow', implementation: null, vendor: 'vmx' },
];
const legacy: readonly HostOptions[] = [
  { kind: 'npt', implementation: 'legacy', vendor: 'svm' },
  { kind: 'ept', implementation: 'legacy', vendor: 'vmx' },
];
const tdpMmu: readonly HostOptions[] = [{ kind: 'npt', implementation: 'tdp-mmu', vendor: 'svm' }];

/** Commit pairs, and where the claim holds: a770f6f2 does change the role of two-dimensional pages, and says so. */
const pairs = [
  { before: 'base-role^', after: 'base-role', ways: shadow },
  { before: 'role-union^', after: 'role-union', ways: [...shadow, ...legacy] },
  { before: 'cpu-role^', after: 'cpu-role', ways: [...shadow, ...legacy, ...tdpMmu] },
];

function run(era: string, workload: string, way: HostOptions): ReplayRecord {
  const result = replay(resolvePort(era), loadWorkload(workload), way);
  if (!isAvailable(result)) throw new Error(result.unavailable);
  return result;
}

/** What the kernel did, without the words that only one side has. */
function deeds({ total, phases, steps, stopped, guestFaults, notInEra, executed, entryStates }: ReplayRecord) {
  return {
    total,
    phases,
    stopped,
    guestFaults,
    notInEra,
    executed,
    steps: steps
      .filter((s) => s.loads + s.unloads + s.hits > 0)
      .map(({ step, loads, unloads, hits }) => ({ step, loads, unloads, hits })),
    tables: entryStates.map(({ roles, root, previousRootsValid }) => ({
      base: roles.at(-1)!.base,
      root,
      previousRootsValid,
    })),
  };
}

describe.each(pairs)('$before and $after', ({ before, after, ways }) => {
  it.each(bundledWorkloads().map(({ name }) => name))('do the same in %s', (workload) => {
    for (const way of ways) {
      const [a, b] = [run(before, workload, way), run(after, workload, way)];
      expect(deeds(a)).toEqual(deeds(b));
    }
  });
});

describe('a770f6f2 under two-dimensional paging', () => {
  it('stops keying pages by the guest mode: fewer pages where the mode changes', () => {
    const way: HostOptions = { kind: 'npt', implementation: 'legacy', vendor: 'svm' };
    const [before, after] = ['base-role^', 'base-role'].map((era) => run(era, 'boot-modes', way));
    expect(before!.total.kvm.get_page_new).toBeGreaterThan(after!.total.kvm.get_page_new);
  });
});
