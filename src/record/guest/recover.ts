// SPDX-License-Identifier: GPL-2.0-only
import type { Step } from '../../workload/program.ts';
import * as x86 from './instructions.ts';
import { type Bytes, reg } from './instructions.ts';

/** Where the step's own bytes end: also where the guest goes on after a fault in it. */
export const endOf = ({ codeAddress, codeBytes }: Step): number => codeAddress + codeBytes;

/** Loads the address to go on at after a fault into (R)BP, for the handler; the first thing a step does. Real mode has no handlers. */
export function recover(step: Step): Bytes {
  if (step.bits === 16) return [];
  if (step.bits === 32) return x86.mov32(32, reg.bp, endOf(step));
  const { length } = x86.leaRip(reg.bp, 0);
  return x86.leaRip(reg.bp, step.codeBytes - length);
}
