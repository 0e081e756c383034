// SPDX-License-Identifier: GPL-2.0-only
/** The compiled core cannot import objects, so it has copies of their values. */
import { describe, expect, it } from 'vitest';
import { CAUSE } from '../../src/sim/access-rules.ts';
import * as core from '../../src/sim/core/names.ts';
import { ACCESS, EPT, PFEC, PTE, PTE_HIGH, RIGHTS } from '../../src/sim/paging-bits.ts';
import { FAULT, RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT, STAGE } from '../../src/sim/walk-result.ts';

/** An object's values under the names that the core has for them. */
const named = (prefix: string, values: Readonly<Record<string, number>>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [`${prefix}${name}`, values[name]]));

describe('names of the compiled core', () => {
  it('are those of the machine, and all of them', () => {
    expect({ ...core }).toEqual({
      ...named('', ACCESS, ['WRITE', 'USER', 'FETCH']),
      ...named('PFEC_', PFEC, ['P', 'W', 'U', 'RSVD', 'PK']),
      PAGE_PRESENT: PTE.P,
      PAGE_DIRTY: PTE.D,
      PAGE_LARGE: PTE.PS,
      PAGE_GLOBAL: PTE.G,
      KEY_SHIFT: 32 + PTE_HIGH.KEY_SHIFT,
      ...named('RIGHTS_', RIGHTS, ['X', 'W', 'U', 'ALL']),
      EPT_R: EPT.R,
      EPT_X: EPT.X,
      EPT_TYPE_SHIFT: EPT.MEMORY_TYPE_SHIFT,
      ...named('CAUSE_', CAUSE, ['NONE', 'NP', 'RSVD', 'WP', 'PK']),
      ...named('FAULT_', FAULT, ['NONE', 'PAGE', 'NESTED', 'MISCONFIGURED', 'NONCANONICAL']),
      ...named('STAGE_', STAGE, ['TABLE', 'FINAL']),
      RESULT_KEY_SHIFT,
      RESULT_PAGE_SHIFT_SHIFT,
    });
  });
});
