// SPDX-License-Identifier: GPL-2.0-only
import { setFlagsFromString } from 'node:v8';

/**
 * V8 compiles small functions into a caller until it has added 920 bytes of bytecode, which suits functions of ordinary
 * size. A port's are tiny and named as in the kernel, and a page fault goes through some two hundred of them. At twice the
 * budget nearly all of them end up in their callers; beyond it nothing is gained. A V8 that does not know the name
 * goes on without.
 */
const BUDGET = '--max-inlined-bytecode-size-cumulative=2000';

/** Lets V8 compile more of a port into one piece. For the whole process, from now on. */
export const inlineMore = (): void => setFlagsFromString(BUDGET);
