// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.17 arch/x86/kvm/mmu/mmu.c and mmu.h: what a guest entry may contain and what an access may do, worked out
 * once per role so that a walk only looks it up.
 *
 * Left out: CPUs without PSE-36 (bits 20:13 of a 4 MiB page would be reserved; every CPU with virtualisation has it).
 */
import { noteMember } from '../../src/role/reads.ts';
import { andBits as and, bitRange, noBits as none, orBits as or } from '../../src/sim/bit-ranges.ts';
import type { U64 } from '../../src/sim/host.ts';
import { PFEC } from '../../src/sim/paging-bits.ts';
import {
  is_cr0_pg,
  is_cr0_wp,
  is_cr4_pke,
  is_cr4_pse,
  is_cr4_smap,
  is_cr4_smep,
  is_efer_nx,
  root_level,
  shadow_root_level,
} from './role.ts';
import type { kvm_mmu, kvm_vcpu, rsvd_bits_validate } from './types.ts';

const ACC_EXEC_MASK = 1;
const ACC_WRITE_MASK = 2;
const ACC_USER_MASK = 4;
const PG_LEVEL_2M = 2;
const PG_LEVEL_1G = 3;

/** v5.17 mmu.h rsvd_bits: bits `first` to `last` set. */
const rsvd_bits = bitRange;

/** Sets `rsvd_bits_mask[bit7][level - 1]`. */
function set_mask(rsvd_check: rsvd_bits_validate, bit7: 0 | 1, level: number, { lo, hi }: U64): void {
  const at = (bit7 * 5 + level - 1) * 2;
  rsvd_check.rsvd_bits_mask[at] = lo;
  rsvd_check.rsvd_bits_mask[at + 1] = hi;
}

/** What decides the reserved bits of a format, whoever's tables they are. */
export interface paging_format {
  /** Physical-address bits that do not exist, up to bit 63. */
  readonly pa_bits_rsvd: U64;
  readonly level: number;
  readonly nx: boolean;
  readonly gbpages: boolean;
  readonly pse: boolean;
  readonly amd: boolean;
}

/** Whether masks stand for this format already: a toggle of CR0.WP changes no reserved bit. C works them out each time. */
const is_format = (a: paging_format | null, b: paging_format): boolean =>
  a !== null &&
  a.level === b.level &&
  a.nx === b.nx &&
  a.gbpages === b.gbpages &&
  a.pse === b.pse &&
  a.amd === b.amd &&
  a.pa_bits_rsvd.lo === b.pa_bits_rsvd.lo &&
  a.pa_bits_rsvd.hi === b.pa_bits_rsvd.hi;

/**
 * v5.17 mmu.c __reset_rsvds_bits_mask
 * Masks of levels above `level` keep what they had. AMD reserves bit 8 of entries that cannot be leaves.
 */
function __reset_rsvds_bits_mask(rsvd_check: rsvd_bits_validate, format: paging_format): void {
  const { pa_bits_rsvd, level, nx, gbpages, pse, amd } = format;
  if (is_format(rsvd_check.format, format)) return;
  rsvd_check.format = format;
  rsvd_check.bad_mt_xwr.fill(0);
  if (level === 2) {
    for (const at of [1, 2]) set_mask(rsvd_check, 0, at, none);
    set_mask(rsvd_check, 1, 1, none);
    set_mask(rsvd_check, 1, 2, pse ? rsvd_bits(17, 21) : none);
    return;
  }
  // A PAE PDPTE has no NX bit, so it adds bit 63 itself; bits 62:52 of PAE entries are reserved, elsewhere ignored.
  const address = and(pa_bits_rsvd, level === 3 ? rsvd_bits(0, 62) : rsvd_bits(0, 51));
  const high = nx ? address : or(address, rsvd_bits(63, 63));
  set_mask(rsvd_check, 0, 1, high);
  set_mask(rsvd_check, 1, 1, high);
  set_mask(rsvd_check, 0, 2, high);
  set_mask(rsvd_check, 1, 2, or(high, rsvd_bits(13, 20)));
  if (level === 3) {
    set_mask(rsvd_check, 0, 3, or(rsvd_bits(63, 63), high, rsvd_bits(5, 8), rsvd_bits(1, 2)));
    return;
  }
  const large_1g = gbpages ? none : rsvd_bits(7, 7);
  set_mask(rsvd_check, 0, 3, or(high, large_1g));
  set_mask(rsvd_check, 1, 3, or(high, large_1g, rsvd_bits(13, 29)));
  const upper = or(high, rsvd_bits(7, 7), amd ? rsvd_bits(8, 8) : none);
  for (let at = 4; at <= level; at++) {
    set_mask(rsvd_check, 0, at, upper);
    set_mask(rsvd_check, 1, at, upper);
  }
}

/**
 * v5.17 mmu.c guest_can_use_gbpages
 * With two-dimensional paging hardware walks the guest's tables and asks nobody, so the host's capability counts.
 */
function guest_can_use_gbpages(vcpu: kvm_vcpu): boolean {
  const { host } = vcpu.kvm.vm;
  return host.tdp === 'none' ? host.cpuid.gbPages : host.gbPages;
}

/** vcpu->arch.reserved_gpa_bits: what guest MAXPHYADDR leaves out, up to bit 63. */
const reserved_gpa_bits = (vcpu: kvm_vcpu): U64 => rsvd_bits(vcpu.maxphyaddr, 63);

/** v5.17 mmu.c:4362 reset_rsvds_bits_mask */
function reset_rsvds_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu): void {
  const by = 'reset_rsvds_bits_mask';
  __reset_rsvds_bits_mask(context.guest_rsvd_check, {
    pa_bits_rsvd: reserved_gpa_bits(vcpu),
    level: root_level(context, by),
    nx: is_efer_nx(context, by),
    gbpages: guest_can_use_gbpages(vcpu),
    pse: is_cr4_pse(context, by),
    amd: vcpu.kvm.vm.host.cpuid.amd,
  });
}

/**
 * v5.17 mmu.c:4374 __reset_rsvds_bits_mask_ept
 * `bad_mt_xwr` has a bit for each value of entry bits 5:0: memory types 2, 3 and 7, write without read, and
 * execute-only where the CPU lacks it.
 */
function __reset_rsvds_bits_mask_ept(
  rsvd_check: rsvd_bits_validate,
  pa_bits_rsvd: U64,
  execonly: boolean,
  huge_page_level: number,
): void {
  rsvd_check.format = null;
  const high = and(pa_bits_rsvd, rsvd_bits(0, 51));
  const large_2m = huge_page_level < PG_LEVEL_2M ? rsvd_bits(7, 7) : none;
  const large_1g = huge_page_level < PG_LEVEL_1G ? rsvd_bits(7, 7) : none;
  const upper = or(high, rsvd_bits(3, 7));
  for (const bit7 of [0, 1] as const) {
    set_mask(rsvd_check, bit7, 1, high);
    set_mask(rsvd_check, bit7, 4, upper);
    set_mask(rsvd_check, bit7, 5, upper);
  }
  set_mask(rsvd_check, 0, 2, or(high, rsvd_bits(3, 6), large_2m));
  set_mask(rsvd_check, 0, 3, or(high, rsvd_bits(3, 6), large_1g));
  set_mask(rsvd_check, 1, 2, or(high, rsvd_bits(12, 20), large_2m));
  set_mask(rsvd_check, 1, 3, or(high, rsvd_bits(12, 29), large_1g));
  const bad_xwr = (1 << 2) | (1 << 6) | (execonly ? 0 : 1 << 4);
  for (let memory_type = 0; memory_type < 8; memory_type++) {
    const bad = memory_type === 2 || memory_type === 3 || memory_type === 7 ? 0xff : bad_xwr;
    const half = memory_type >> 2;
    const shift = (memory_type & 3) * 8;
    rsvd_check.bad_mt_xwr[half] = (rsvd_check.bad_mt_xwr[half]! & ~(0xff << shift)) | (bad << shift);
  }
}

/** v5.17 mmu.c reset_rsvds_bits_mask_ept: L1's EPT. */
export function reset_rsvds_bits_mask_ept(
  vcpu: kvm_vcpu,
  context: kvm_mmu,
  execonly: boolean,
  huge_page_level: number,
): void {
  __reset_rsvds_bits_mask_ept(context.guest_rsvd_check, reserved_gpa_bits(vcpu), execonly, huge_page_level);
}

/** v5.17 mmu.c reserved_hpa_bits */
const reserved_hpa_bits = (vcpu: kvm_vcpu): U64 => rsvd_bits(vcpu.kvm.vm.host.physBits, 63);

/** Memory-encryption bits are no reserved bits of KVM's own entries: they are taken out below the root's level. */
function clear_shadow_me_mask(vcpu: kvm_vcpu, rsvd_check: rsvd_bits_validate, level: number): void {
  const { lo, hi } = vcpu.kvm.vm.host.encryptionMask;
  if ((lo | hi) === 0) return;
  for (const bit7 of [0, 1]) {
    for (let at = bit7 * 10; at < (bit7 * 5 + level) * 2; at += 2) {
      rsvd_check.rsvd_bits_mask[at]! &= ~lo;
      rsvd_check.rsvd_bits_mask[at + 1]! &= ~hi;
    }
  }
}

/**
 * v5.17 mmu.c:4429 reset_shadow_zero_bits_mask
 * Bits that must be zero in entries built for shadow paging. NX may be used whatever the guest's EFER says, except
 * when L1's nested tables are shadowed.
 */
export function reset_shadow_zero_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu): void {
  const by = 'reset_shadow_zero_bits_mask';
  const uses_nx = is_efer_nx(context, by) || vcpu.kvm.vm.host.tdp === 'none';
  const level = shadow_root_level(context, by);
  __reset_rsvds_bits_mask(context.shadow_zero_check, {
    pa_bits_rsvd: reserved_hpa_bits(vcpu),
    level,
    nx: uses_nx,
    gbpages: guest_can_use_gbpages(vcpu),
    pse: false,
    amd: true,
  });
  clear_shadow_me_mask(vcpu, context.shadow_zero_check, level);
}

/**
 * v5.17 mmu.c reset_tdp_shadow_zero_bits_mask
 * On NPT the NX bit counts as one that must be zero, although KVM sets it; corrected later.
 */
export function reset_tdp_shadow_zero_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu): void {
  const { host } = vcpu.kvm.vm;
  const level = shadow_root_level(context, 'reset_tdp_shadow_zero_bits_mask');
  if (host.tdp === 'npt') {
    __reset_rsvds_bits_mask(context.shadow_zero_check, {
      pa_bits_rsvd: reserved_hpa_bits(vcpu),
      level,
      nx: false,
      gbpages: host.gbPages,
      pse: false,
      amd: true,
    });
  } else {
    __reset_rsvds_bits_mask_ept(context.shadow_zero_check, reserved_hpa_bits(vcpu), false, host.maxHugePageLevel);
  }
  clear_shadow_me_mask(vcpu, context.shadow_zero_check, level);
}

/** v5.17 mmu.c:4509 reset_ept_shadow_zero_bits_mask */
export function reset_ept_shadow_zero_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu, execonly: boolean): void {
  const { maxHugePageLevel } = vcpu.kvm.vm.host;
  __reset_rsvds_bits_mask_ept(context.shadow_zero_check, reserved_hpa_bits(vcpu), execonly, maxHugePageLevel);
}

/** BYTE_MASK: one bit for each value of ACC bits that includes `access`. */
function byte_mask(access: number): number {
  let mask = 0;
  for (let acc = 0; acc < 8; acc++) if (acc & access) mask |= 1 << acc;
  return mask;
}

const x = byte_mask(ACC_EXEC_MASK);
const w = byte_mask(ACC_WRITE_MASK);
const u = byte_mask(ACC_USER_MASK);

/**
 * v5.17 mmu.c:4527 update_permission_bitmask
 * Byte i answers for page-fault code bits 4:1 equal i: bit a of it says that rights a make the access fault. Bit 3 of
 * the code (reserved) stands for "SMAP does not apply". In the EPT form ACC_USER means readable and a read is coded as
 * a user access.
 */
export function update_permission_bitmask(mmu: kvm_mmu, ept: boolean): void {
  const by = 'update_permission_bitmask';
  const smep = is_cr4_smep(mmu, by) ? 1 : 0;
  const smap = is_cr4_smap(mmu, by) ? 2 : 0;
  const wp = is_cr0_wp(mmu, by) ? 4 : 0;
  const nx = is_efer_nx(mmu, by) ? 8 : 0;
  const conditions = smep | smap | wp | nx | (ept ? 16 : 0);
  let bitmask = bitmasks[conditions];
  if (bitmask === undefined) {
    bitmask = permission_bitmask(conditions);
    bitmasks[conditions] = bitmask;
  }
  for (let byte = 0; byte < 16; byte++) mmu.permissions[byte] = bitmask[byte]!;
}

/** The bitmask by what decides it, as guests toggle CR0.WP over and over. C works it out each time. */
const bitmasks: (Uint8Array | undefined)[] = [];

function permission_bitmask(conditions: number): Uint8Array {
  const cr4_smep = (conditions & 1) !== 0;
  const cr4_smap = (conditions & 2) !== 0;
  const cr0_wp = (conditions & 4) !== 0;
  const efer_nx = (conditions & 8) !== 0;
  const ept = (conditions & 16) !== 0;
  return Uint8Array.from({ length: 16 }, (_, byte) => {
    const pfec = byte << 1;
    const fetch = (pfec & PFEC.ID) !== 0;
    const user = (pfec & PFEC.U) !== 0;
    let faults = user ? ~u : 0;
    if (fetch && (ept || efer_nx)) faults |= ~x;
    if (pfec & PFEC.W && (ept || cr0_wp || user)) faults |= ~w;
    if (!ept && !user) {
      if (fetch && cr4_smep) faults |= u;
      if (!fetch && !(pfec & PFEC.RSVD) && cr4_smap) faults |= u;
    }
    return faults;
  });
}

/**
 * v5.17 mmu.c:4623 update_pkru_bitmask
 * Two bits for each page-fault code (without P; bit 3 stands for "the page is a user page"): whether the key's
 * access-disable and write-disable bits count. Fetches and supervisor pages have no keys; write-disable binds the
 * supervisor only with CR0.WP.
 */
export function update_pkru_bitmask(mmu: kvm_mmu): void {
  const by = 'update_pkru_bitmask';
  mmu.pkru_mask = 0;
  if (!is_cr4_pke(mmu, by)) return;
  const wp = is_cr0_wp(mmu, by);
  let pkru_mask = 0;
  for (let pfec = 0; pfec < 32; pfec += 2) {
    const check_pkey = !(pfec & PFEC.ID) && (pfec & PFEC.RSVD) !== 0;
    const check_write = check_pkey && (pfec & PFEC.W) !== 0 && ((pfec & PFEC.U) !== 0 || wp);
    pkru_mask |= ((check_pkey ? 1 : 0) | (check_write ? 2 : 0)) << pfec;
  }
  mmu.pkru_mask = pkru_mask >>> 0;
}

/**
 * v5.17 mmu.c:4667 reset_guest_paging_metadata
 * Without paging everything stays as the last paging mode left it; nothing reads it then.
 */
export function reset_guest_paging_metadata(vcpu: kvm_vcpu, mmu: kvm_mmu): void {
  if (!is_cr0_pg(mmu, 'reset_guest_paging_metadata')) return;
  reset_rsvds_bits_mask(vcpu, mmu);
  update_permission_bitmask(mmu, false);
  update_pkru_bitmask(mmu);
}

/**
 * v5.17 mmu.h:251 permission_fault
 * The page-fault code of an access with code bits `pfec` (W, U, ID) to a page of rights `pte_access`, or 0 when it is
 * allowed. EFLAGS.AC lifts SMAP below CPL 3; at CPL 3 a supervisor access is one the CPU makes on its own, and AC does
 * not count for those.
 */
export function permission_fault(
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  pte_access: number,
  pte_pkey: number,
  pfec: number,
  caller?: string,
): number {
  const by = 'permission_fault';
  const { registers } = vcpu;
  const not_smap = registers.cpl < 3 && registers.rflagsAc !== 0;
  const index = (pfec + (not_smap ? PFEC.RSVD : 0)) >> 1;
  noteMember(mmu, by, 'permissions');
  if (caller !== undefined) noteMember(mmu, caller, 'permissions');
  let fault = (mmu.permissions[index]! >> pte_access) & 1;
  let errcode: number = PFEC.P;
  noteMember(mmu, by, 'pkru_mask');
  if (caller !== undefined) noteMember(mmu, caller, 'pkru_mask');
  if (mmu.pkru_mask) {
    const pkru_bits = (registers.pkru >>> (pte_pkey * 2)) & 3;
    const offset = (pfec & ~PFEC.P) + (pte_access & ACC_USER_MASK ? PFEC.RSVD : 0);
    if (pkru_bits & (mmu.pkru_mask >>> offset)) {
      errcode |= PFEC.PK;
      fault = 1;
    }
  }
  return fault ? errcode : 0;
}

/** v5.17 spte.h __is_bad_mt_xwr: whether an entry (low half) has a memory type or rights that EPT forbids. */
const __is_bad_mt_xwr = (rsvd_check: rsvd_bits_validate, lo: number): boolean =>
  ((rsvd_check.bad_mt_xwr[(lo >> 5) & 1]! >>> (lo & 31)) & 1) !== 0;

/** v5.17 spte.h __is_rsvd_bits_set: whether an entry of a level (halves) sets a reserved bit. */
export function __is_rsvd_bits_set(rsvd_check: rsvd_bits_validate, lo: number, hi: number, level: number): boolean {
  const at = (((lo >>> 7) & 1) * 5 + level - 1) * 2;
  const { rsvd_bits_mask } = rsvd_check;
  return (lo & rsvd_bits_mask[at]!) !== 0 || (hi & rsvd_bits_mask[at + 1]!) !== 0 || __is_bad_mt_xwr(rsvd_check, lo);
}
