// SPDX-License-Identifier: GPL-2.0-only
import type { EraVcpu } from '../era.ts';
import type { Register } from '../replay/register-write.ts';

/**
 * Sees a replay at its rare moments: never at an access that needs no exit. Everything it is told is in the order in which
 * it happens, and the same for the same trace and era.
 */
export interface TraceObserver {
  /** An exit at an event, by its reason in words; the kernel has not begun yet. */
  exit?(reason: string, event: number): void;
  /** An exception that the guest gets, with or without an exit. */
  exception?(vector: 13 | 14, errorCode: number): void;
  /** A guest write of a register that left the guest, about to be made; and one that did not. */
  registerWrite?(register: Register, before: number, value: number): void;
  nativeWrite?(register: Register, before: number, value: number): void;
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
