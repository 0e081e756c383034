// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../src/era.ts';

/** Every port, in the order of history. */
export const eras: readonly Era[] = [];
