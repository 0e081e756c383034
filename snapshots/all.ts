// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../src/era.ts';
import { ports } from './index.ts';

/** Every port, loaded, in the order of history. */
export const eras: readonly Era[] = await Promise.all(ports.map(({ load }) => load()));
