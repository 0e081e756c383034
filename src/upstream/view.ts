// SPDX-License-Identifier: GPL-2.0-only
import type { Link } from '../facts/index.ts';
import type { PatchFile } from './patch.ts';

/** One diff with what stands above it. */
export interface DiffPart {
  readonly kind: 'upstream' | 'port';
  readonly title: string;
  /** Author, date and the like. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly links: readonly Link[];
  readonly files: readonly PatchFile[];
}

/** What of a diff is wanted. */
export interface DiffChoice {
  /** Files or folders: of the kernel, and names of port files (`calc.ts`). */
  readonly paths: readonly string[];
  /** A function, union, macro, or in a port any declaration. */
  readonly definition: string | undefined;
  /** Of ports, show also the lines that differ only in the kernel they cite. */
  readonly citations: boolean;
}
