// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { Era, Mode } from '../../src/era.ts';
import { Executor } from '../../src/replay/execute.ts';
import { Guest, GuestStopped } from '../../src/replay/guest.ts';
import { hostFor } from '../../src/replay/host.ts';
import { buildMachine, type Machine as ReplayMachine } from '../../src/replay/machine.ts';
import { NestedStates } from '../../src/replay/nested-state.ts';
import { Recorder } from '../../src/replay/recorder.ts';
import type { CounterValues } from '../../src/sim/counters.ts';
import type { Host } from '../../src/sim/host.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';
import { buildImage } from '../../src/workload/image.ts';
import { compile } from '../../src/workload/program.ts';
import { Machine } from './root-machine.ts';

/**
 * From the creation of a vCPU to the end of its VM, in every era: what user space sets up costs no root, nothing is left
 * when the VM is gone, and the totals of a replay are its phases and what creation took.
 */

type Platform = 'svm' | 'vmx' | 'ept';

/** Full unloads and role computations that creation takes: creation itself, the reset, and KVM_SET_CPUID. */
type Creation = Readonly<Record<Platform, readonly [full_unloads: number, init_mmu: number]>>;

const alike = (counts: readonly [number, number]): Creation => ({ svm: counts, vmx: counts, ept: counts });

/** No root, so nothing to free; VMX starts in real mode, which it cannot enter: enter_rmode resets (v2.6.29 vmx.c). */
const of2008: Creation = { svm: [0, 1], vmx: [0, 2], ept: [0, 2] };
/**
 * init_vmcb resets and runs twice; enter_rmode resets where there is no unrestricted guest. Recordings of 4.20.1 and
 * 5.10.262: wp-toggle has 545 resets and two unloads at its end, so 550 full unloads on SVM, 548 with EPT, 549 without.
 */
const until5_10: Creation = { svm: [3, 4], vmx: [2, 3], ept: [1, 2] };
/** Creation computes roles, KVM_SET_CPUID resets. Recordings of 5.19 and 6.1.192: 548 full unloads for 545 resets. */
const from5_17 = alike([1, 2]);
/** The same, and KVM_SET_SREGS computes roles whatever it changes (patch 13 of the series). */
const noUnload = alike([1, 3]);
/** CPUID is processed at creation as well (85e5ba83c016). Recordings of 7.2.12 and 7.3.4: one more of each. */
const from6_16 = alike([2, 3]);

const creations: Readonly<Record<string, Creation>> = {
  'base-role^': of2008,
  'base-role': of2008,
  'role-union^': until5_10,
  'role-union': until5_10,
  'v4.20': until5_10,
  'v5.10': until5_10,
  'no-unload-v2': noUnload,
  'v7.2': from6_16,
  'v7.3': from6_16,
};

/** A workload replayed to its end, or as far as the guest gets, under one era, with all that is left of the machine. */
function run(era: Era, host: Host, name: string) {
  const workload = loadWorkload(name);
  const program = compile(workload);
  const image = buildImage(workload);
  const machine = buildMachine(era, host, image, { vcpus: program.vcpus, reads: null });
  const creation = machine.vm.counters.snapshot();
  const recorder = new Recorder(
    machine.vm,
    era,
    machine.vcpus.map(
      ({ cpu }) =>
        () =>
          cpu.cost(),
    ),
  );
  const guest = new Guest(machine, recorder, program.handlers);
  const executor = new Executor({
    era,
    program,
    machine,
    guest,
    nested: new NestedStates(image),
    recorder,
    opText: () => '',
  });
  try {
    executor.run();
  } catch (error) {
    if (!(error instanceof GuestStopped)) throw error;
  }
  const pagesBefore = [...machine.vm.pages.live()].length;
  recorder.tearDown(machine.eraVm);
  return { machine, creation, pagesBefore, record: recorder.finish() };
}

/** What is left of a VM that is gone. */
function remains({ vm, vcpus }: ReplayMachine): string[] {
  const left = [...vm.pages.live()].map((id) => `page ${id}`);
  if (vm.pages.used !== 0) left.push(`${vm.pages.used} pages in use`);
  for (const { memslots, rmap } of vm.addressSpaces) {
    for (let gfn = 0; gfn < memslots.frames; gfn++) {
      for (let level = 1; level <= 3; level++) {
        if (gfn % 512 ** (level - 1) === 0 && !rmap.isEmpty(gfn, level)) left.push(`mapping of ${gfn} at ${level}`);
      }
      if (memslots.isTracked(gfn)) left.push(`tracking of ${gfn}`);
      if (gfn % 512 === 0 && !memslots.allowsLarge(gfn, 2)) left.push(`no large page at ${gfn}`);
    }
  }
  for (const { kernel } of vcpus) {
    for (const root of [kernel.view.root(), ...kernel.view.previousRoots()]) if (root) left.push(`root ${root.frame}`);
  }
  return left;
}

const cases = eras.flatMap((era) =>
  era.modes.flatMap((mode: Mode) => {
    const vendors: readonly Host['vendor'][] = mode.kind === 'shadow' ? ['svm', 'vmx'] : ['svm'];
    return vendors.map((vendor) => {
      const host = hostFor(era, { kind: mode.kind, implementation: mode.implementation, vendor });
      if ('unavailable' in host) throw new Error(host.unavailable);
      const platform: Platform = host.tdp === 'ept' ? 'ept' : host.vendor;
      return { name: `${era.id}: ${mode.kind} ${mode.implementation} on ${host.vendor}`, era, host, platform };
    });
  }),
);

const workloads = ['boot-modes', 'nested-basic', 'smm', 'efer-nx'];

describe.each(cases)('$name', ({ era, host, platform }) => {
  it('needs one root after user space has set CPUID and registers', () => {
    const m = new Machine(era, host);
    m.vcpu.setCpuid();
    m.vcpu.setSregs();
    expect(m.vcpu.view.root()).toBeNull();
    expect(m.enter()).toBe(1);
    expect(m.enter()).toBe(0);
  });

  it('leaves roles as they were when registers are set to what they are', () => {
    const m = new Machine(era, host);
    m.vcpu.setCpuid();
    m.toLongMode();
    const before = m.state();
    m.vcpu.setSregs();
    expect(m.state()).toEqual(before);
    expect(m.enter()).toBe(0);
  });

  it.each(workloads)('%s: is gone without a trace', (workload) => {
    const { machine, pagesBefore } = run(era, host, workload);
    expect(pagesBefore).toBeGreaterThan(0);
    expect(remains(machine)).toEqual([]);
  });

  it('counts creation, phases and the end, and nothing else', () => {
    const { creation, record } = run(era, host, 'boot-modes');
    const { full_unloads, init_mmu, ...others } = creation;
    expect([full_unloads, init_mmu]).toEqual((creations[era.id] ?? from5_17)[platform]);
    const { mmu_load, get_page_new, page_faults, guest_walks, zap_pages, set_spte } = others;
    expect({ mmu_load, get_page_new, page_faults, guest_walks, zap_pages, set_spte }).toEqual({
      mmu_load: 0,
      get_page_new: 0,
      page_faults: 0,
      guest_walks: 0,
      zap_pages: 0,
      set_spte: 0,
    });
    const sums = { ...creation };
    const fields = Object.keys(creation) as (keyof CounterValues)[];
    for (const { counts } of record.phases) {
      for (const field of fields) Object.assign(sums, { [field]: sums[field] + counts.kvm[field] });
    }
    expect(record.total.kvm).toEqual(sums);
    // Since 2018 kvm_arch_destroy_vm and kvm_mmu_destroy both unload; in 2008 the second finds no root.
    const last = record.phases.at(-1)!;
    expect([last.name, last.counts.kvm.full_unloads]).toEqual(['(teardown)', era.id.startsWith('base-role') ? 1 : 2]);
  });
});
