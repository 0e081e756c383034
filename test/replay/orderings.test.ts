// SPDX-License-Identifier: GPL-2.0-only
/**
 * Published timings of CR0.WP-heavy guests order kernels and MMU kinds (commits/stories/no-unload-v2.md has the numbers and
 * their sources). Counts must order them the same way. Timings of `ssdd 10 50000` on a grsecurity guest, seconds:
 *
 *                              legacy   TDP MMU   shadow
 *     v5.10.177                 10.37      88.7     69.7
 *     v5.15.106                  9.94      66.1     64.9
 *     v6.1.23                    7.65      8.23     68.7
 *     v6.1.23 + WP patches       3.36      3.36     69.1
 *
 * and of kvm-unit-tests vmexit.flat before and after the no-unload series: 46754 → 4879, 5096 → 4875, 5150 → 5006.
 */
import { describe, expect, it } from 'vitest';
import type { MmuImplementation, MmuKind } from '../../src/era.ts';
import { resolvePort } from '../../src/replay/every-port.ts';
import { isAvailable } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';
import type { Workload } from '../../src/workload/ops.ts';
import { parseOps } from '../../src/workload/parse.ts';

const addressSpace = (name: string, userData: string) => `pt ${name} l4
ident ${name}
map ${name} 0x10000000 0x400000 32 4k pw
map ${name} 0x20000000 0x440000 16 4k p
map ${name} 0x30000000 ${userData} 32 4k pwu
`;

/** Two processes in turn; the kernel opens its write protection at each switch, as grsecurity's KERNEXEC does. */
const switching = `prot32
enterlong A
phase work
repeat 200
cr0 -WP
w 0x20002000
cr0 +WP
touchr 0x10000000 8
user
touchw 0x30000000 8
enduser
cr3 B
cr0 -WP
w 0x20003000
cr0 +WP
touchr 0x10000000 8
user
touchw 0x30000000 8
enduser
cr3 A
end
phase done
`;

const twoProcesses = addressSpace('A', '0x480000') + addressSpace('B', '0x500000');
const oneVcpu = parseOps(twoProcesses + switching, 'two-processes.ops');
/** The second vCPU does nothing but hold a reference on the tables, as any other vCPU of a running guest does. */
const twoVcpus = parseOps(
  `vcpus 2\n${twoProcesses}on 1\nprot32\nenterlong A\nr 0x10000000\nendon\n${switching}`,
  'two-vcpus.ops',
);
const toggle = loadWorkload('gen:toggle_cr0_wp');

const modes = {
  legacy: ['npt', 'legacy'],
  tdp: ['npt', 'tdp-mmu'],
  shadow: ['shadow', null],
  ept: ['ept', 'tdp-mmu'],
} as const satisfies Record<string, readonly [MmuKind, MmuImplementation | null]>;

/**
 * Work of KVM in a whole replay: exits, root loads, pages made and zapped, leaf entries written, each counted 1. No weight is
 * chosen; only orderings and coarse ratios are drawn from it.
 */
function work(era: string, mode: keyof typeof modes, workload: Workload): number {
  const [kind, implementation] = modes[mode];
  const result = replay(resolvePort(era), workload, { kind, implementation, vendor: 'svm' });
  if (!isAvailable(result)) throw new Error(result.unavailable);
  expect(result.stopped).toBeNull();
  const { kvm, exits } = result.total;
  const left = Object.values(exits).reduce((sum, count) => sum + count, 0);
  return left + kvm.mmu_load + kvm.get_page_new + kvm.zap_pages + kvm.set_spte;
}

describe('orderings of published timings, on counts', () => {
  it('1: unfixed, guest WP in the TDP role: TDP MMU > shadow > legacy', () => {
    for (const era of ['v5.17', 'cpu-role']) {
      const [tdp, shadow, legacy] = [
        work(era, 'tdp', oneVcpu),
        work(era, 'shadow', oneVcpu),
        work(era, 'legacy', oneVcpu),
      ];
      expect(tdp).toBeGreaterThan(shadow);
      expect(shadow).toBeGreaterThan(legacy);
      expect(tdp / legacy).toBeGreaterThan(5);
    }
  });

  it('2: unfixed with a constant TDP role, two vCPUs: shadow > TDP MMU, which is slightly above legacy', () => {
    const [tdp, shadow, legacy] = (['tdp', 'shadow', 'legacy'] as const).map((mode) =>
      work('root-role', mode, twoVcpus),
    );
    expect(shadow).toBeGreaterThan(tdp!);
    expect(tdp! / legacy!).toBeGreaterThanOrEqual(1);
    expect(tdp! / legacy!).toBeLessThan(1.2);
  });

  it('2: with one vCPU the tree dies at each toggle, so only the second vCPU explains it', () => {
    expect(work('root-role', 'tdp', oneVcpu)).toBeGreaterThan(5 * work('root-role', 'tdp', twoVcpus));
  });

  it('3: fixed: TDP MMU and legacy within 7 %, both below every unfixed two-dimensional run', () => {
    const [tdp, legacy] = [work('cr0wp', 'tdp', oneVcpu), work('cr0wp', 'legacy', oneVcpu)];
    expect(Math.abs(tdp / legacy - 1)).toBeLessThan(0.07);
    for (const era of ['v5.17', 'cpu-role', 'root-role']) {
      for (const mode of ['tdp', 'legacy'] as const) {
        expect(work(era, mode, oneVcpu)).toBeGreaterThan(tdp);
        expect(work(era, mode, oneVcpu)).toBeGreaterThan(legacy);
      }
    }
  });

  it('4: avoiding the unload alone makes both kinds cheaper, the TDP MMU at least as much', () => {
    const gain = (mode: 'tdp' | 'legacy') => work('root-role', mode, twoVcpus) / work('cr0wp', mode, twoVcpus);
    expect(gain('legacy')).toBeGreaterThan(1.5);
    expect(gain('tdp')).toBeGreaterThan(1.5);
  });

  it('4: CR0.WP owned by the guest, on top: no exit is left of a toggle', () => {
    // 6.1.192 carries fb509f76acc8 (v6.4); 01b31714bd90 alone still exits at every toggle.
    expect(work('cr0wp', 'ept', oneVcpu) / work('v6.1', 'ept', oneVcpu)).toBeGreaterThan(1.5);
  });

  it('5: shadow paging does not move: a WP change means another role there', () => {
    const before = work('v5.17', 'shadow', oneVcpu);
    for (const era of ['cpu-role^', 'cpu-role', 'root-role', 'cr0wp']) {
      expect(Math.abs(work(era, 'shadow', oneVcpu) / before - 1)).toBeLessThan(0.04);
    }
  });

  it('6: toggling alone: only the TDP MMU gains a large factor from no-unload-v2', () => {
    const gain = (mode: keyof typeof modes) => work('v5.17', mode, toggle) / work('no-unload-v2', mode, toggle);
    expect(gain('tdp')).toBeGreaterThan(5);
    expect(gain('tdp')).toBeGreaterThan(2 * gain('legacy'));
    expect(gain('tdp')).toBeGreaterThan(2 * gain('shadow'));
  });

  it('7: no-unload-v2 lies between unfixed and fixed for legacy, and at legacy level for the TDP MMU', () => {
    const legacy = work('no-unload-v2', 'legacy', oneVcpu);
    expect(legacy).toBeLessThan(work('v5.17', 'legacy', oneVcpu));
    expect(legacy).toBeGreaterThan(work('cr0wp', 'legacy', oneVcpu));
    expect(Math.abs(work('no-unload-v2', 'tdp', oneVcpu) / legacy - 1)).toBeLessThan(0.07);
  });
});
