// SPDX-License-Identifier: GPL-2.0-only
import type { TlbShape } from '../../src/sim/tlb.ts';

/** Large pages are kept in small pieces, as the C program keeps them. */
export const benchTlb: TlbShape = { l1: { sets: 16, ways: 4 }, l2: { sets: 128, ways: 12 }, pageShifts: [12] };

/** ChampSim's default sizes. */
export const benchCaches = {
  level2: { sets: 4, ways: 8 },
  level3: { sets: 2, ways: 4 },
  level4: { sets: 1, ways: 4 },
} as const;
