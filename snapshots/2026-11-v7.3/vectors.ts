// SPDX-License-Identifier: GPL-2.0-only
import type { VectorSurface } from '../../src/era.ts';
import { eventsRows, rootSessions } from './vectors_events.ts';
import { rolesRows } from './vectors_roles.ts';

/** Every section that this port answers. */
export const vectors: VectorSurface = { rows: { ...rolesRows, ...eventsRows }, sessions: { ...rootSessions } };
