// SPDX-License-Identifier: GPL-2.0-only
/**
 * What every era must satisfy when it maps guest memory: whatever a guest does with its tables, an access ends as the
 * guest's own tables demand (judged by the machine's walker, which the recorded walks of real hardware confirm), and KVM's
 * bookkeeping is whole. Where an era is known to differ, leniencies.ts says so.
 *
 * `MMU_ERAS_CASES=200 npx vitest run test/contract/paging.test.ts` runs as many programs for each case, with the
 * bookkeeping checked after every step.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { Guest } from './guest.ts';
import { brokenInvariants } from './invariants.ts';
import { hasGbPages, isKernelBug, leniencyOf } from './leniencies.ts';
import { modes, programArbitrary, Run } from './program.ts';

const asked = Number(process.env.MMU_ERAS_CASES ?? 0);
const numRuns = asked > 0 ? asked : 10;
/** Steps between two looks at the bookkeeping, which cost most of the time; what breaks it seldom mends itself. */
const interval = asked > 0 ? 1 : 16;

const hostPages = [
  { hostPageLevel: 1, pageLimit: 1000 },
  { hostPageLevel: 2, pageLimit: 1000 },
  { hostPageLevel: 1, pageLimit: 40 },
];

describe.each(eras.map((era) => [era.id, era] as const))('%s', (id, era) => {
  const leniency = leniencyOf(id);
  for (const mode of era.modes) {
    for (const paging of modes) {
      it(`maps what a ${paging.name} guest's tables say: ${mode.kind} ${mode.implementation}`, () => {
        let compared = 0;
        fc.assert(
          fc.property(programArbitrary, fc.constantFrom(...hostPages), (program, host) => {
            const guest = new Guest(era, { mode, ...host, gbPages: hasGbPages(id) });
            const run = new Run(guest, paging, leniency);
            const { ops } = program;
            run.start(program);
            for (const [i, op] of ops.entries()) {
              let wrong: string;
              try {
                wrong = run.step(op);
              } catch (error) {
                // The host is gone; programs that get there are few.
                if (isKernelBug(id, error)) return;
                throw error;
              }
              if (wrong !== '') throw new Error(`step ${i}: ${wrong}`);
              if (i % interval !== interval - 1 && i !== ops.length - 1) continue;
              const broken = brokenInvariants(era, guest.vm, [guest.vcpu]);
              if (broken.length > 0) throw new Error(`after step ${i}: ${broken.join('; ')}`);
            }
            expect(guest.vm.pages.used).toBeLessThanOrEqual(host.pageLimit);
            compared += run.compared;
          }),
          { numRuns, seed: 20220414 },
        );
        expect(compared).toBeGreaterThan(50);
      });
    }
  }
});
