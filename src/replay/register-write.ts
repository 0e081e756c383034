// SPDX-License-Identifier: GPL-2.0-only
import type { WriteResult } from '../era.ts';
import { bitNames } from '../sim/bit-names.ts';
import type { GuestCpu } from '../sim/guest-cpu.ts';
import { CR0, CR4, EFER } from '../sim/registers.ts';
import { cr0Bits, cr4Bits, eferBits } from '../workload/bits.ts';
import type { MachineVcpu } from './machine.ts';

export type Register = 'cr0' | 'cr3' | 'cr4' | 'efer';

const changedBits = {
  cr0: bitNames('CR0', cr0Bits),
  cr4: bitNames('CR4', cr4Bits),
  efer: bitNames('EFER', eferBits),
};

const names = { cr0: 'CR0', cr3: 'CR3', cr4: 'CR4', efer: 'EFER' } as const;

/** The register and the bits that a write changes: `CR0.WP`, `CR4.PAE CR4.PGE`, `EFER unchanged`, `CR3`. */
export function describeWrite(register: Register, before: number, value: number): string {
  const name = names[register];
  if (before === value) return `${name} unchanged`;
  if (register === 'cr3') return name;
  return changedBits[register](before ^ value);
}

/** A register write as KVM's exit handler makes it. */
export function writeThrough(
  { kernel }: Pick<MachineVcpu, 'kernel'>,
  register: Register,
  value: number,
  noflush: boolean,
): WriteResult {
  switch (register) {
    case 'cr0':
      return kernel.writeCr0(value);
    case 'cr3':
      return kernel.writeCr3(value, noflush);
    case 'cr4':
      return kernel.writeCr4(value);
    case 'efer':
      return kernel.writeEfer(value);
  }
}

/** A register write that stays in the guest: hardware takes it over and flushes what the architecture says. */
export function writeNatively(
  cpu: Pick<GuestCpu, 'registers' | 'pdptesReload' | 'registersChanged' | 'cr3Written' | 'flushGuest'>,
  register: Register,
  value: number,
  noflush: boolean,
): WriteResult {
  const { registers } = cpu;
  if (register === 'cr3' && !cpu.pdptesReload(value)) return 'gp';
  const changed = registers[register] ^ value;
  registers[register] = value;
  // EFER.LMA follows CR0.PG while EFER.LME is set. SDM vol. 3A 10.8.5.
  if (register === 'cr0') {
    const longMode = (value & CR0.PG) !== 0 && (registers.efer & EFER.LME) !== 0;
    registers.efer = longMode ? registers.efer | EFER.LMA : registers.efer & ~EFER.LMA;
  }
  cpu.registersChanged();
  if (register === 'cr3') cpu.cr3Written(noflush);
  // SDM vol. 3A 4.10.4.1: a change of CR4.PGE drops all translations, global ones too.
  if (register === 'cr4' && (changed & CR4.PGE) !== 0) cpu.flushGuest();
  return 'done';
}
