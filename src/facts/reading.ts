// SPDX-License-Identifier: GPL-2.0-only
/** Guided readings: the rest of what may be asked of the facts, apart because it loads a library of diffs. */
export { type EraPage, eraPage, type StopPage, type UpstreamHunk, type UpstreamText } from './era-page.ts';
export { type HunkLine, type PortHunk, portHunk } from './port-hunk.ts';
