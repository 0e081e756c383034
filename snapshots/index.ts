// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../src/era.ts';
import { era as baseRole } from './2008-12-base-role/index.ts';

/** Every port, in the order of history. */
export const eras: readonly Era[] = [baseRole];
