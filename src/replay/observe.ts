// SPDX-License-Identifier: GPL-2.0-only
import type { EraView } from '../era.ts';

/** Sees a replay in order, as probes on the kernel's functions and on guest entry would. */
export interface ReplayObserver {
  /** A phase begins; the part before the first marker is one too. */
  phase(name: string): void;
  /** A function of KVM is called, by `caller` ('' when no probed function runs). */
  call(name: string, caller: string): void;
  /** The guest is entered. */
  entry(view: EraView): void;
  /** The guest's handler logs an exception. */
  fault(vector: number, errorCode: number, address: number): void;
  /** At the end: every role that a shadow page was asked for with. */
  pages(roles: readonly number[]): void;
}
