// SPDX-License-Identifier: GPL-2.0-only

/**
 * The hardware side of one vCPU as a port drives it: which table hardware walks, and what is flushed.
 * How an access goes through those tables and the TLB is the machine's (src/sim/mmu-hardware).
 */
export interface Cpu {
  /** The table hardware walks from now on: host frame of the root (cr3, nCR3 or EPTP), its depth in levels. */
  loadRoot(frame: number, levels: number): void;
  /** Flushes what the current context (ASID or VPID, and EPTP) has cached. */
  flushCurrent(): void;
  /** Flushes the guest's linear translations of the current context. */
  flushGuest(): void;
  /** Flushes one linear page of the current context: its address, unsigned, exact as its low 12 bits are clear. */
  flushAddress(gva: number): void;
  /** Shadow paging: EFER.NX as hardware has it while the guest runs, where a kernel leaves that to the guest. Else it is on. */
  setShadowNx?(on: boolean): void;
}

/** A CPU that keeps no translations: for vectors, where only the requests count. */
export const inertCpu: Cpu = {
  loadRoot: () => {},
  flushCurrent: () => {},
  flushGuest: () => {},
  flushAddress: () => {},
};
