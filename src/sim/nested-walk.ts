// SPDX-License-Identifier: GPL-2.0-only
import { EPT_VIOLATION, NPF_HIGH, PFEC } from './paging-bits.ts';
import type { Walker } from './walk.ts';
import { STAGE } from './walk-result.ts';

/**
 * High half of EXITINFO1 of the #NPF that `walker` stopped with: which access to the nested tables it was. The low half is
 * `result.errorCode`, EXITINFO2 is `result.faultGpa`. Bit 4 (fetch) of the low half follows the host's EFER.NXE, as the
 * APM's reference to ordinary page-fault error codes implies. APM vol. 2 15.25.6.
 */
export function npfExitInfoHigh(walker: Walker): number {
  return walker.result.stage === STAGE.FINAL ? NPF_HIGH.FINAL : NPF_HIGH.TABLE;
}

/**
 * Exit qualification of the EPT violation that `walker` stopped with. A read of a guest table counts as a write while EPT
 * marks entries, and then reports both. SDM vol. 3C table 28-7 and its notes.
 */
export function eptViolationQualification(walker: Walker): number {
  const { result, nested } = walker;
  if (nested === null) throw new Error('nested walk: a walker without nested tables has no EPT violations');
  const final = result.stage === STAGE.FINAL;
  let access: number = EPT_VIOLATION.READ;
  if (result.errorCode & PFEC.ID) access = EPT_VIOLATION.FETCH;
  else if (result.errorCode & PFEC.W) {
    access = EPT_VIOLATION.WRITE | (!final && nested.marksEntries ? EPT_VIOLATION.READ : 0);
  }
  const allowed = nested.result.lowBits << EPT_VIOLATION.ALLOWED_SHIFT;
  return access | allowed | EPT_VIOLATION.LINEAR | (final ? EPT_VIOLATION.FINAL : 0);
}
