// SPDX-License-Identifier: GPL-2.0-only
import type { EraVcpu } from '../era.ts';

/**
 * Sees a replay at its rare moments: never at an access that needs no exit. Everything it is told is in the order in which
 * it happens, and the same for the same trace and era.
 */
export interface TraceObserver {
  /** An exit, by its reason in words; the kernel has not begun yet. */
  exit?(reason: string): void;
  /** A guest write of a register that left the guest, about to be made; and one that did not. */
  registerWrite?(register: string, before: number, value: number): void;
  nativeWrite?(register: string, before: number, value: number): void;
  /** The guest was entered after `registerWrite`: the kernel has done everything that the write leads to. */
  writeDone?(result: 'done' | 'gp'): void;
  /** A page fault or nested fault, before and after the kernel's handler. `page` is the linear page number. */
  faultBegin?(page: number): void;
  faultEnd?(page: number): void;
  /** The guest is entered. */
  entry?(view: EraVcpu['view']): void;
  /** A phase begins: a number from the trace. */
  phase?(index: number): void;
}
