// SPDX-License-Identifier: GPL-2.0-only
/**
 * What every era must satisfy when it maps guest memory: whatever a guest does with its tables, an access ends as the
 * guest's own tables demand (judged by the machine's walker, which the recorded walks of real hardware confirm), and KVM's
 * bookkeeping is whole after every step.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/index.ts';
import { Guest } from './guest.ts';
import { brokenInvariants } from './invariants.ts';
import { modes, programArbitrary, Run } from './program.ts';

/**
 * Eras whose shadow may still map a page when bit 63 of the guest's entry has become reserved. From 7a458f0e1ba1 on the
 * role of shadow pages has EFER.NX constant; in 2018 kvm_sync_pages synced pages of other roles with the current rules.
 */
const nxLenient = new Set(['role-union^', 'role-union', 'root-role', 'cr0wp']);

/**
 * Before v2.6.31 KVM's walk knew no reserved bits and reported every fetch, so that hardware is no judge of it; those
 * ports are tested on their own.
 */
const walksAsHardware = eras.filter(({ id }) => !id.startsWith('base-role'));

const hostPages = [
  { hostPageLevel: 1, pageLimit: 1000 },
  { hostPageLevel: 2, pageLimit: 1000 },
  { hostPageLevel: 1, pageLimit: 40 },
];

describe.each(walksAsHardware.map((era) => [era.id, era] as const))('%s', (id, era) => {
  for (const mode of era.modes) {
    for (const paging of modes) {
      it(`maps what a ${paging.name} guest's tables say: ${mode.kind} ${mode.implementation}`, () => {
        let compared = 0;
        fc.assert(
          fc.property(programArbitrary, fc.constantFrom(...hostPages), (program, host) => {
            const guest = new Guest(era, { mode, ...host });
            const run = new Run(guest, paging, nxLenient.has(id));
            run.start(program);
            for (const op of program.ops) {
              expect(run.step(op)).toBe('');
              expect(brokenInvariants(era, guest.vm, [guest.vcpu])).toEqual([]);
            }
            expect(guest.vm.pages.used).toBeLessThanOrEqual(host.pageLimit);
            compared += run.compared;
          }),
          { numRuns: 12, seed: 20220414 },
        );
        expect(compared).toBeGreaterThan(50);
      });
    }
  }
});
