// SPDX-License-Identifier: GPL-2.0-only
import { at } from '../../workload/touches.ts';

/** One exception that the guest handled, as faults.json has it. */
export interface GuestFault {
  readonly vector: number;
  readonly cr2: string;
  readonly error: number;
  readonly phase: string;
}

const ENTRY_BYTES = 16;
const LOG_ENTRIES = 4096;

/**
 * The exceptions in the guest's own log, from its memory at the end. The log holds 4096 entries and then begins anew, so after
 * more faults it has the latest ones, not in order. Phases are those named when each fault came; 0 is none yet.
 */
export function guestFaults(memory: Buffer, phases: readonly string[]): GuestFault[] {
  const count = Math.min(memory.readUInt32LE(at.faultCount), LOG_ENTRIES);
  return Array.from({ length: count }, (_, i) => {
    const entry = at.faultLog + ENTRY_BYTES * i;
    const origin = memory.readUInt32LE(entry + 12);
    return {
      vector: origin >>> 16,
      cr2: `0x${memory.readBigUInt64LE(entry).toString(16)}`,
      error: memory.readUInt32LE(entry + 8),
      phase: phases[(origin & 0xff) - 1] ?? '',
    };
  });
}
