// SPDX-License-Identifier: GPL-2.0-only
import { setFlagsFromString } from 'node:v8';

/**
 * V8 compiles small functions into a caller until it has added 920 bytes of bytecode, which suits functions of ordinary
 * size. A port's are tiny and named as in the kernel, and a page fault goes through some two hundred of them. At twice the
 * budget nearly all of them end up in their callers, and a long replay takes a tenth less; beyond it nothing is gained.
 */
const BUDGET = '--max-inlined-bytecode-size-cumulative=2000';

/**
 * V8 optimises a function that has run some 132 KB of bytecode. With so much in one piece that is long work, and a short
 * replay is over before it pays: four times as much saves it a quarter of its CPU time, and is nothing to a long one.
 */
const PATIENCE = '--interrupt-budget=528000';

/** Lets V8 compile more of a port into one piece, and later. For the whole process, from now on; unknown names do nothing. */
export function tuneOptimiser(): void {
  setFlagsFromString(BUDGET);
  setFlagsFromString(PATIENCE);
}
