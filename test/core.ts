// SPDX-License-Identifier: GPL-2.0-only
// @ts-expect-error a script, which has no types
import { buildCore } from '../scripts/core.mjs';

/** Before the first test: compiles the machine's core when its sources changed. */
export const setup = async (): Promise<void> => buildCore();
