// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { hostFor } from '../../src/replay/host.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';

/**
 * Functions that free some roots of a cache and that no recorded sequence reaches: obsolete roots (with the bug that
 * e5ed0fb0 has and v6.3 has not) and roots of L2. Expected values are worked out by hand from the C.
 */

type Port = {
  readonly roots: typeof import('../../snapshots/2022-04-cpu-role/mmu_roots.ts');
  readonly types: typeof import('../../snapshots/2022-04-cpu-role/types.ts');
  readonly era: typeof import('../../snapshots/2022-04-cpu-role/index.ts');
};

/** The ports have these files in common; the types of one stand for all. */
async function portOf(folder: string): Promise<Port> {
  const path = `../../snapshots/${folder}`;
  const [roots, types, era] = await Promise.all([
    import(`${path}/mmu_roots.ts`),
    import(`${path}/types.ts`),
    import(`${path}/index.ts`),
  ]);
  return { roots, types, era } as Port;
}

/** `invalid` and `guest_mode` of a page role, at every commit here. */
const INVALID = 1 << 11;
const GUEST_MODE = 1 << 17;

/** A shadow-paging vCPU whose current and previous roots are pages of their own, each used once; ids as listed. */
async function withRoots(folder: string) {
  const { roots, types, era } = await portOf(folder);
  const host = hostFor(era.era, { kind: 'shadow', implementation: null, vendor: 'vmx' });
  if ('unavailable' in host) throw new Error(host.unavailable);
  const vm = new Vm({ host, memory: new PhysicalMemory(), guestFrames: 64, pageLimit: 100, reads: null });
  const kvm = new types.kvm(vm);
  const vcpu = new types.kvm_vcpu(kvm, new Registers(), inertCpu);
  kvm.vcpus.push(vcpu);
  const mmu = vcpu.root_mmu;
  const pages = [16, 17, 18, 19].map((gfn) => {
    const id = vm.pages.create(gfn, 4);
    vm.pages.rootCount[id] = 1;
    return id;
  });
  const [current, ...previous] = pages as [number, number, number, number];
  mmu.root = { pgd: 16 * 4096, hpa: vm.pages.frameOf(current) };
  mmu.prev_roots = previous.map((id, i) => ({ pgd: (17 + i) * 4096, hpa: vm.pages.frameOf(id) }));
  /** Which of current, prev0, prev1, prev2 are valid. */
  const valid = (): boolean[] => [mmu.root, ...mmu.prev_roots].map(({ hpa }) => hpa !== types.INVALID_PAGE);
  return { roots, types, vm, kvm, vcpu, mmu, pages, valid };
}

const buggy = ['2022-04-cpu-role-parent', '2022-04-cpu-role', '2022-04-root-role'];

describe('kvm_mmu_free_obsolete_roots', () => {
  it.each(buggy)('%s frees previous roots exactly when the current one is obsolete', async (folder) => {
    const one = await withRoots(folder);
    one.vm.pages.role[one.pages[1]!]! |= INVALID;
    one.roots.kvm_mmu_free_obsolete_roots(one.vcpu);
    expect(one.valid()).toEqual([true, true, true, true]);

    const other = await withRoots(folder);
    other.vm.pages.role[other.pages[0]!]! |= INVALID;
    other.roots.kvm_mmu_free_obsolete_roots(other.vcpu);
    expect(other.valid()).toEqual([false, false, false, false]);
  });

  it('cr0wp asks each root for itself', async () => {
    const one = await withRoots('2023-03-cr0wp');
    for (const at of [0, 2]) one.vm.pages.role[one.pages[at]!]! |= INVALID;
    one.roots.kvm_mmu_free_obsolete_roots(one.vcpu);
    expect(one.valid()).toEqual([false, true, false, true]);
  });

  it.each([...buggy, '2023-03-cr0wp'])('%s: every root is obsolete once the generation changed', async (folder) => {
    const one = await withRoots(folder);
    one.kvm.mmu_valid_gen = 1;
    one.roots.kvm_mmu_free_obsolete_roots(one.vcpu);
    expect(one.valid()).toEqual([false, false, false, false]);
  });
});

describe('kvm_mmu_free_guest_mode_roots', () => {
  it.each(['2022-02-no-unload-v2', ...buggy, '2023-03-cr0wp'])(
    '%s frees previous roots of L2, never the current one',
    async (folder) => {
      const one = await withRoots(folder);
      for (const at of [0, 2]) one.vm.pages.role[one.pages[at]!]! |= GUEST_MODE;
      one.roots.kvm_mmu_free_guest_mode_roots(one.kvm, one.mmu);
      expect(one.valid()).toEqual([true, true, false, true]);
      // A previous root keeps its pgd; the page of a valid role stays for the next look-up.
      expect(one.mmu.prev_roots[1]!.pgd).toBe(18 * 4096);
      expect(one.vm.pages.rootCount[one.pages[2]!]).toBe(0);
      expect(one.vm.pages.isLive(one.pages[2]!)).toBe(true);
    },
  );
});
