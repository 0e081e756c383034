// SPDX-License-Identifier: GPL-2.0-only
import { type Mistake, UserError } from '../../errors.ts';
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

/** What a VMCB must not lie over: the guest's own things, the permission maps that VMCBs point to, the fault log. */
const taken = [
  [0, at.hostSave + 0x1000],
  [0x44000, 0x47000],
  [0x48000, 0x4a000],
  [at.faultLog, at.vmcses],
] as const;

/** Throws a UserError at the first op that a real guest cannot have. */
export function checkRecordable({ name, ops }: Workload): void {
  const vmcbs = new Set<number>();
  const check = (op: Op): void => {
    const mistake = mistakeOf(op) ?? (op.op === 'vmcb' && vmcbs.has(op.address) ? second(op.address) : undefined);
    if (mistake) throw new UserError({ place: `${name}:${op.line}`, ...mistake });
    if (op.op === 'vmcb') vmcbs.add(op.address);
    if (isBlock(op)) op.body.forEach(check);
  };
  ops.forEach(check);
}

type Finding = Omit<Mistake, 'place'>;

function mistakeOf(op: Op): Finding | undefined {
  const why = modelOnly[op.op];
  if (why !== undefined) {
    return {
      found: `"${op.op}" exists in the model only: ${why}`,
      expected: 'ops that docs/ops.md has without +',
      suggestion: 'mmu-eras replay, which knows it',
    };
  }
  if (op.op === 'vmcb' && taken.some(([start, end]) => op.address >= start && op.address < end)) {
    return {
      found: `a VMCB at ${hex(op.address)}, where the guest has other things`,
      expected: 'a page from 0x41000 to 0x43000, 0x47000, 0x4a000 to 0x4f000, or from 0x60000 on',
    };
  }
  if (op.op === 'vmcbset' && op.width === 4 && typeof op.value !== 'string' && !fits(op.value, 32)) {
    return { found: 'a 4-byte store of more than 32 bits', expected: 'width 8, or a smaller value' };
  }
  return undefined;
}

const second = (address: number): Finding => ({
  found: `a second VMCB at ${hex(address)}`,
  expected: 'a page for each',
});
const hex = (value: number): string => `0x${value.toString(16)}`;
