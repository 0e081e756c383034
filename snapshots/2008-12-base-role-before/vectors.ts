// SPDX-License-Identifier: GPL-2.0-only
/**
 * Answers the vectors of a770f6f2 in their own columns. `base_role` does not exist yet: what a page's role starts from
 * stands there, which differs under two-dimensional paging.
 */
import type { VectorSurface } from '../../src/era.ts';
import { events } from './vectors_events.ts';
import { child, init, mode_sequence, roots, spte, walk } from './vectors_roles.ts';
import { traces } from './vectors_traces.ts';

export const vectors: VectorSurface = {
  rows: { init, mode_sequence, child, roots, walk, spte, events },
  sessions: { traces },
};
