// SPDX-License-Identifier: GPL-2.0-only
/** How walks end that do not succeed: what the block of the walker then says. */
import { CAUSE, ENTRY_GPA, ERROR_CODE, FAULT, FAULT_GPA, IS_EPT, REPORT_FETCH, STAGE } from './layout';
import {
  CAUSE_NP,
  CAUSE_RSVD,
  CAUSE_WP,
  FAULT_MISCONFIGURED,
  FAULT_NESTED,
  FAULT_PAGE,
  PFEC_P,
  PFEC_RSVD,
  PFEC_U,
  PFEC_W,
  STAGE_TABLE,
} from './names';

/** The nested tables forbid to mark an entry of the guest's. */
export function refuseMark(walker: usize): i32 {
  store<i32>(walker, CAUSE_WP, CAUSE);
  store<i32>(walker, PFEC_P | PFEC_W | PFEC_U, ERROR_CODE);
  store<i32>(walker, STAGE_TABLE, STAGE);
  store<u64>(walker, load<u64>(walker, ENTRY_GPA), FAULT_GPA);
  return stop(walker, FAULT_NESTED);
}

/** The nested tables refused, for their own reason, the access that `stage` names. */
export function nestedFault(walker: usize, nested: usize, stage: i32, gpa: u64): i32 {
  const cause = load<i32>(nested, CAUSE);
  store<i32>(walker, cause, CAUSE);
  store<i32>(walker, load<i32>(nested, ERROR_CODE), ERROR_CODE);
  store<i32>(walker, stage, STAGE);
  store<u64>(walker, gpa, FAULT_GPA);
  const isMisconfigured = load<i32>(nested, IS_EPT) !== 0 && cause === CAUSE_RSVD;
  return stop(walker, isMisconfigured ? FAULT_MISCONFIGURED : FAULT_NESTED);
}

/** SDM vol. 3A 4.7. */
export function pageFault(walker: usize, cause: i32, access: i32, forbidden: i32): i32 {
  const present = cause === CAUSE_NP ? 0 : PFEC_P;
  const reserved = cause === CAUSE_RSVD ? PFEC_RSVD : 0;
  const reported = access & (PFEC_W | PFEC_U | load<i32>(walker, REPORT_FETCH));
  store<i32>(walker, cause, CAUSE);
  store<i32>(walker, present | reserved | forbidden | reported, ERROR_CODE);
  return stop(walker, FAULT_PAGE);
}

/** Ends a walk with a FAULT. */
export function stop(walker: usize, fault: i32): i32 {
  store<i32>(walker, fault, FAULT);
  return fault;
}
