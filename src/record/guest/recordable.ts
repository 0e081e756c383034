// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { isBlock, type Op, type OpName, type Workload } from '../../workload/ops.ts';
import { at } from '../../workload/touches.ts';
import { fits } from '../../workload/u64.ts';

/** Ops of the model that a guest image has no form for, and why. */
const modelOnly: Partial<Record<OpName, string>> = {
  vcpus: 'the monitor has one vCPU',
  on: 'the monitor has one vCPU',
  bulk: 'its page numbers come from the model',
  vmcs: 'the guest does not enter VMX operation',
  vmentry: 'the guest does not enter VMX operation',
  memslot: 'it is an event of the host',
};

/** Where a VMCB can lie: the image uses everything else below the page tables. */
const vmcbRange = { start: at.hostSave + 0x1000, end: at.faultLog } as const;
/** Permission maps that VMCBs point to, 3 and 2 pages. */
const permissionMaps = [
  [0x44000, 0x47000],
  [0x48000, 0x4a000],
] as const;

/** Throws a UserError at the first op that a real guest cannot have. */
export function checkRecordable(workload: Workload): void {
  for (const op of workload.ops) checkOp(workload.name, op);
}

function checkOp(name: string, op: Op): void {
  const place = `${name}:${op.line}`;
  const why = modelOnly[op.op];
  if (why !== undefined) {
    throw new UserError({
      place,
      found: `"${op.op}" exists in the model only: ${why}`,
      expected: 'ops that docs/ops.md has without +',
      suggestion: 'mmu-eras replay, which knows it',
    });
  }
  if (op.op === 'vmcb' && !fitsVmcb(op.address)) {
    throw new UserError({
      place,
      found: `a VMCB at 0x${op.address.toString(16)}, where the guest has other things`,
      expected: `0x${vmcbRange.start.toString(16)} to 0x${(permissionMaps[0][0] - 1).toString(16)}, or 0x4a000 to 0x4ffff`,
    });
  }
  if (op.op === 'vmcbset' && op.width === 4 && typeof op.value !== 'string' && !fits(op.value, 32)) {
    throw new UserError({
      place,
      found: 'a 4-byte store of more than 32 bits',
      expected: 'width 8, or a smaller value',
    });
  }
  if (isBlock(op)) for (const each of op.body) checkOp(name, each);
}

function fitsVmcb(address: number): boolean {
  if (address < vmcbRange.start || address >= vmcbRange.end) return false;
  return permissionMaps.every(([start, end]) => address < start || address >= end);
}
