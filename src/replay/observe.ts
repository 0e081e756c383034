// SPDX-License-Identifier: GPL-2.0-only
import type { EraView } from '../era.ts';

/** The root the guest is entered with, told apart from earlier ones in the same place. */
export interface EnteredRoot {
  /** Unique for each root; 0 without one. */
  readonly birth: number;
  /** Whether an earlier root, by its birth, still exists. */
  readonly exists: (birth: number) => boolean;
}

/** Sees a replay in order, as probes on the kernel's functions and on guest entry would. */
export interface ReplayObserver {
  /** A phase begins; the part before the first marker is one too. */
  phase(name: string): void;
  /** A function of KVM is called, by `caller` ('' when no probed function runs). */
  call(name: string, caller: string): void;
  /** The guest is entered. */
  entry(view: EraView, root: EnteredRoot): void;
  /** The guest's handler logs an exception; `address` is CR2 in hex digits with 0x. */
  fault(vector: number, errorCode: number, address: string): void;
  /** At the end: every role that a shadow page was asked for with. */
  pages(roles: readonly number[]): void;
}
