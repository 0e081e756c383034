// SPDX-License-Identifier: GPL-2.0-only
/** Vectors of one guest event each, with the MMU functions replaced by recorders. */
import type { VectorRow, VectorValue } from '../../src/era.ts';
import type { LogEntry } from '../../src/sim/log.ts';
import type { kvm_vcpu } from './types.ts';
import { eptHost, hex, makeVcpu, num, parseHex } from './vectors_setup.ts';
import { handle_invpcid, kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_efer } from './x86.ts';

/** Level 3, bit 7 clear: the place of the mask that load_pdptrs tests with. */
const PDPTE_MASK = (3 - 1) * 2;
const BAD_PDPTE = 0b11;
const GOOD_PDPTE = 0b01;

/** PDPTEs at every CR3 of the vectors; bad ones have a reserved bit. The cached ones differ if `differ` says so. */
function placePdptes(vcpu: kvm_vcpu, tables: readonly number[], ok: boolean, differ: boolean): void {
  const { memory } = vcpu.kvm.vm;
  vcpu.mmu.guest_rsvd_check.rsvd_bits_mask[PDPTE_MASK] = 0b10;
  for (const cr3 of tables) memory.write32(cr3 - (cr3 % 32), ok ? GOOD_PDPTE : BAD_PDPTE);
  vcpu.walk_mmu.pdptrs[0] = (ok ? GOOD_PDPTE : BAD_PDPTE) + (differ ? 0x1000 : 0);
}

/** `invpcid_desc` and `prev_root_cr3s`, which other events do not have. */
function list(row: VectorRow, column: string): readonly VectorValue[] {
  const value = row[column];
  if (!Array.isArray(value)) throw new Error(`column ${column}: a list is expected`);
  return value as readonly VectorValue[];
}

const BIT_63 = 2 ** 63;

/** Runs the event; returns what the vectors call `ret`. */
function run(vcpu: kvm_vcpu, row: VectorRow): number {
  const arg = hex(row, 'arg');
  switch (row.event) {
    case 'set_cr0':
      // A value with something in the high half never gets to where the port begins. v4.20 x86.c kvm_set_cr0
      return arg >= 2 ** 32 || kvm_set_cr0(vcpu, arg, row.flag === 1) ? 1 : 0;
    case 'set_cr3': {
      const noflush = arg >= BIT_63;
      const digits = String(row.arg).padStart(16, '0').slice(1);
      return kvm_set_cr3(vcpu, noflush ? Number.parseInt(digits, 16) : arg, noflush) ? 1 : 0;
    }
    case 'set_cr4':
      return kvm_set_cr4(vcpu, arg) ? 1 : 0;
    case 'set_efer':
      return kvm_set_efer(vcpu, arg) ? 1 : 0;
    case 'invpcid': {
      const [pcid, gva] = list(row, 'invpcid_desc').map((value) => parseHex(value, 'invpcid_desc'));
      // The recorder's test for canonical addresses knew 48 bits only; with CR4.LA57 the kernel's knows 57.
      const gla = gva! >= 2 ** 47 && gva! < 2 ** 64 - 2 ** 47 ? 2 ** 56 : gva!;
      handle_invpcid(vcpu, arg, pcid!, gla);
      return 1;
    }
    default:
      throw new Error(`event ${String(row.event)} is not known`);
  }
}

/** The log in the vectors' words; null for what they do not record. */
function action({ name, detail }: LogEntry): string | null {
  switch (name) {
    case 'kvm_mmu_new_cr3':
      return `new_cr3=${detail}`;
    case 'kvm_mmu_free_roots':
      return `free_roots=${detail}`;
    case 'kvm_mmu_invpcid_gva':
      return `invpcid_gva=${detail}`;
    case 'kvm_zap_gfn_range':
      return 'zap_gfn_range_all';
    case 'kvm_mmu_reset_context':
    case 'kvm_mmu_sync_roots':
    case 'kvm_mmu_unload':
    case 'kvm_update_cpuid':
      return name.replace(/^kvm_(mmu_)?/, '');
    case 'load_pdptrs':
    case 'inject_gp':
    case 'req_tlb_flush':
      return name;
    default:
      return null;
  }
}

/** Section `events`. */
export function event(row: VectorRow): VectorRow {
  const pdptesOk = num(row, 'pdptes_ok') === 1;
  // The recorder of load_pdptrs did not look at memory, so a table may be anywhere; where no page can be, absence fails
  // it.
  const vcpu = makeVcpu(eptHost(4, true), pdptesOk ? { guestFrames: 2 ** 52 } : {});
  const { registers, log } = vcpu;
  registers.cr0 = hex(row, 'cr0');
  registers.cr3 = hex(row, 'cr3');
  registers.cr4 = hex(row, 'cr4');
  registers.efer = hex(row, 'efer');
  // Bit 63 of a written CR3 is no part of the address while CR4.PCIDE is set.
  const written = row.event === 'set_cr3' ? hex(row, 'arg') : 0;
  const inRam = [registers.cr3, written, written % BIT_63].filter((table) => table < 2 ** 23);
  placePdptes(vcpu, inRam, pdptesOk, row.event === 'set_cr3' && row.flag === 1);
  if (row.prev_root_cr3s !== null) {
    list(row, 'prev_root_cr3s').forEach((cr3, i) => {
      // All-ones means empty.
      vcpu.mmu.prev_roots[i]!.cr3 = cr3 === 'ffffffffffffffff' ? -1 : parseHex(cr3, 'prev_root_cr3s');
    });
  }
  log.keep = true;
  log.recordCallsOnly = true;
  const ret = run(vcpu, row);
  return {
    ret,
    cr0_after: registers.cr0.toString(16),
    cr3_after: registers.cr3.toString(16),
    cr4_after: registers.cr4.toString(16),
    efer_after: registers.efer.toString(16),
    actions: log.take().flatMap((entry) => action(entry) ?? []),
  };
}
