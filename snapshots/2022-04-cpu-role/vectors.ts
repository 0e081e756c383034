// SPDX-License-Identifier: GPL-2.0-only
import type { VectorSurface } from '../../src/era.ts';
import { rolesRows } from './vectors_roles.ts';

/** Every section that this port answers. */
export const vectors: VectorSurface = { rows: { ...rolesRows }, sessions: {} };
