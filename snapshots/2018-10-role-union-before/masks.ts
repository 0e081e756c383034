// SPDX-License-Identifier: GPL-2.0-only
/**
 * 36d9594dfbf2 arch/x86/kvm/mmu.c: reserved bits, permission bytes and the protection-key mask of a context.
 *
 * Left out: 4 MiB pages of CPUs without PSE-36 (is_cpuid_PSE36 is always 1).
 */
import { bitRange, noBits as none, orBits } from '../../src/sim/bit-ranges.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { base_role, mmu_nx, root_level, shadow_root_level } from './role.ts';
import {
  ACC_EXEC_MASK,
  ACC_USER_MASK,
  ACC_WRITE_MASK,
  PT32_ROOT_LEVEL,
  PT32E_ROOT_LEVEL,
  PT64_ROOT_5LEVEL,
} from './spte.ts';
import type { kvm_mmu, kvm_vcpu, rsvd_bits_validate } from './types.ts';

/** v4.20 mmu.h:46 rsvd_bits: bits s to e; empty when e < s. */
const rsvd_bits = bitRange;

/** Stores the union of some masks as `rsvd_bits_mask[bit7][level - 1]`. */
function set_mask(check: rsvd_bits_validate, bit7: 0 | 1, level: number, a = none, b = none, c = none, d = none): void {
  const at = (bit7 * 5 + level - 1) * 2;
  const { lo, hi } = orBits(a, b, c, d);
  check.rsvd_bits_mask[at] = lo;
  check.rsvd_bits_mask[at + 1] = hi;
}

/** What __reset_rsvds_bits_mask is called with. */
interface rsvds {
  readonly maxphyaddr: number;
  readonly level: number;
  readonly nx: boolean;
  readonly gbpages: boolean;
  readonly pse: boolean;
  readonly amd: boolean;
}

/** 36d9594dfbf2 mmu.c:4276 __reset_rsvds_bits_mask. Slots that the level has no use for keep what they had. */
function __reset_rsvds_bits_mask(check: rsvd_bits_validate, options: rsvds): void {
  const { maxphyaddr, level, nx, gbpages, pse, amd } = options;
  const exb = nx ? none : rsvd_bits(63, 63);
  const gbpages_bit = gbpages ? none : rsvd_bits(7, 7);
  const nonleaf_bit8 = amd ? rsvd_bits(8, 8) : none;
  check.bad_mt_xwr.fill(0);
  if (level === PT32_ROOT_LEVEL) {
    set_mask(check, 0, 2);
    set_mask(check, 0, 1);
    set_mask(check, 1, 1);
    set_mask(check, 1, 2, pse ? rsvd_bits(17, 21) : none);
  } else if (level === PT32E_ROOT_LEVEL) {
    const high = rsvd_bits(maxphyaddr, 62);
    set_mask(check, 0, 3, rsvd_bits(maxphyaddr, 63), rsvd_bits(5, 8), rsvd_bits(1, 2));
    set_mask(check, 0, 2, exb, high);
    set_mask(check, 0, 1, exb, high);
    set_mask(check, 1, 2, exb, high, rsvd_bits(13, 20));
    set_mask(check, 1, 1, exb, high);
  } else if (level > PT32E_ROOT_LEVEL) {
    const high = rsvd_bits(maxphyaddr, 51);
    for (let top = 4; top <= (level === PT64_ROOT_5LEVEL ? 5 : 4); top++) {
      set_mask(check, 0, top, exb, nonleaf_bit8, rsvd_bits(7, 7), high);
      set_mask(check, 1, top, exb, nonleaf_bit8, rsvd_bits(7, 7), high);
    }
    set_mask(check, 0, 3, exb, nonleaf_bit8, gbpages_bit, high);
    set_mask(check, 0, 2, exb, high);
    set_mask(check, 0, 1, exb, high);
    set_mask(check, 1, 3, exb, gbpages_bit, high, rsvd_bits(13, 29));
    set_mask(check, 1, 2, exb, high, rsvd_bits(13, 20));
    set_mask(check, 1, 1, exb, high);
  }
}

const is_pse = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr4 & CR4.PSE) !== 0;

/** 36d9594dfbf2 mmu.c:4364 reset_rsvds_bits_mask: the guest's own tables. */
export function reset_rsvds_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu): void {
  const { cpuid } = vcpu.kvm.vm.host;
  __reset_rsvds_bits_mask(context.guest_rsvd_check, {
    maxphyaddr: cpuid.maxPhyAddr,
    level: root_level(context, 'reset_rsvds_bits_mask'),
    nx: mmu_nx(context, 'reset_rsvds_bits_mask') !== 0,
    gbpages: cpuid.gbPages,
    pse: is_pse(vcpu),
    amd: cpuid.amd,
  });
}

/** 36d9594dfbf2 mmu.c:4375 __reset_rsvds_bits_mask_ept. `bad_mt_xwr`: memory types 2, 3, 7; write without read. */
function __reset_rsvds_bits_mask_ept(check: rsvd_bits_validate, maxphyaddr: number, execonly: boolean): void {
  const high = rsvd_bits(maxphyaddr, 51);
  for (let level = 1; level <= 5; level++) {
    const above = level === 1 ? none : level <= 3 ? rsvd_bits(3, 6) : rsvd_bits(3, 7);
    const large = level === 2 ? rsvd_bits(12, 20) : level === 3 ? rsvd_bits(12, 29) : above;
    set_mask(check, 0, level, high, above);
    set_mask(check, 1, level, high, large);
  }
  // One byte a memory type; one bit of it a combination of X, W and R.
  const of_each_type = (1 << 2) | (1 << 6) | (execonly ? 0 : 1 << 4);
  let lo = 0;
  let hi = 0;
  for (let type = 0; type < 8; type++) {
    const byte = type === 2 || type === 3 || type === 7 ? 0xff : of_each_type;
    if (type < 4) lo |= byte << (8 * type);
    else hi |= byte << (8 * (type - 4));
  }
  check.bad_mt_xwr[0] = lo;
  check.bad_mt_xwr[1] = hi;
}

/** 36d9594dfbf2 mmu.c reset_rsvds_bits_mask_ept: L1's EPT tables. */
export function reset_rsvds_bits_mask_ept(vcpu: kvm_vcpu, context: kvm_mmu, execonly: boolean): void {
  __reset_rsvds_bits_mask_ept(context.guest_rsvd_check, vcpu.kvm.vm.host.cpuid.maxPhyAddr, execonly);
}

/** The memory-encryption bit is no reserved bit of KVM's own entries. */
function allow_encryption_bit(vcpu: kvm_vcpu, context: kvm_mmu, by: string): void {
  const { lo, hi } = vcpu.kvm.vm.host.encryptionMask;
  if ((lo | hi) === 0) return;
  const mask = context.shadow_zero_check.rsvd_bits_mask;
  for (let i = 0; i < shadow_root_level(context, by); i++) {
    for (const at of [i * 2, (5 + i) * 2]) {
      mask[at] = mask[at]! & ~lo;
      mask[at + 1] = mask[at + 1]! & ~hi;
    }
  }
}

/**
 * 36d9594dfbf2 mmu.c:4424 reset_shadow_zero_bits_mask: bits that KVM's entries never set when they shadow guest tables.
 * With SMEP and CR0.WP = 0 KVM sets NX itself, so that bit is not reserved then.
 */
export function reset_shadow_zero_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu): void {
  const by = 'reset_shadow_zero_bits_mask';
  const { host } = vcpu.kvm.vm;
  __reset_rsvds_bits_mask(context.shadow_zero_check, {
    maxphyaddr: host.physBits,
    level: shadow_root_level(context, by),
    nx: mmu_nx(context, by) !== 0 || base_role.smep_andnot_wp(context, by) !== 0,
    gbpages: host.cpuid.gbPages,
    pse: is_pse(vcpu),
    amd: true,
  });
  allow_encryption_bit(vcpu, context, by);
}

/** 36d9594dfbf2 mmu.c:4464 reset_tdp_shadow_zero_bits_mask. NPT without an executable bit in SPTEs counts as AMD. */
export function reset_tdp_shadow_zero_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu): void {
  const by = 'reset_tdp_shadow_zero_bits_mask';
  const { host } = vcpu.kvm.vm;
  if (vcpu.kvm.masks.shadow_x_mask !== 0) {
    __reset_rsvds_bits_mask_ept(context.shadow_zero_check, host.physBits, false);
  } else {
    const level = shadow_root_level(context, by);
    const options = { maxphyaddr: host.physBits, level, nx: false, gbpages: host.gbPages, pse: true, amd: true };
    __reset_rsvds_bits_mask(context.shadow_zero_check, options);
  }
  allow_encryption_bit(vcpu, context, by);
}

/** 36d9594dfbf2 mmu.c:4497 reset_ept_shadow_zero_bits_mask */
export function reset_ept_shadow_zero_bits_mask(vcpu: kvm_vcpu, context: kvm_mmu, execonly: boolean): void {
  __reset_rsvds_bits_mask_ept(context.shadow_zero_check, vcpu.kvm.vm.host.physBits, execonly);
}

/** The access rights (0 to 7) that contain a right, as a byte with one bit for each. BYTE_MASK in C. */
const BYTE_MASK = (right: number): number =>
  [0, 1, 2, 3, 4, 5, 6, 7].reduce((byte, access) => (access & right ? byte | (1 << access) : byte), 0);
const x = BYTE_MASK(ACC_EXEC_MASK);
const w = BYTE_MASK(ACC_WRITE_MASK);
const u = BYTE_MASK(ACC_USER_MASK);

/** 36d9594dfbf2 mmu.c:4514 update_permission_bitmask. Byte i: error code bits 4:1 equal i; bit a: rights a fault. */
export function update_permission_bitmask(vcpu: kvm_vcpu, mmu: kvm_mmu, ept: boolean): void {
  const { cr0, cr4 } = vcpu.registers;
  const cr0_wp = (cr0 & CR0.WP) !== 0;
  const nx = mmu_nx(mmu, 'update_permission_bitmask') !== 0;
  for (let byte = 0; byte < 16; byte++) {
    const write = (byte & 1) !== 0;
    const user = (byte & 2) !== 0;
    // The place of PFEC.RSVD: EFLAGS.AC lifts SMAP for this access.
    const smap_lifted = (byte & 4) !== 0;
    const fetch = (byte & 8) !== 0;
    let wf = write ? ~w : 0;
    const uf = user ? ~u : 0;
    let ff = fetch ? ~x : 0;
    let smepf = 0;
    let smapf = 0;
    if (!ept) {
      const kf = user ? 0 : u;
      if (!nx) ff = 0;
      if (!cr0_wp && !user) wf = 0;
      if (cr4 & CR4.SMEP && fetch) smepf = kf;
      if (cr4 & CR4.SMAP && !smap_lifted && !fetch) smapf = kf;
    }
    mmu.permissions[byte] = ff | uf | wf | smepf | smapf;
  }
}

/**
 * 36d9594dfbf2 mmu.c:4610 update_pkru_bitmask
 * Two bits for each error code (bit 3 of it: user page): which of AD and WD count. New bits are only ORed in, so what
 * an earlier set-up left stays until protection keys or long mode go off: with CR0.WP 1 -> 0, 0xdd00 is not 0xd500
 * again.
 */
export function update_pkru_bitmask(vcpu: kvm_vcpu, mmu: kvm_mmu, ept: boolean): void {
  const { cr0, cr4, efer } = vcpu.registers;
  if (ept || (cr4 & CR4.PKE) === 0 || (efer & EFER.LMA) === 0) {
    mmu.pkru_mask = 0;
    return;
  }
  const wp = (cr0 & CR0.WP) !== 0;
  for (let bit = 0; bit < 16; bit++) {
    const write = (bit & 1) !== 0;
    const user = (bit & 2) !== 0;
    const user_page = (bit & 4) !== 0;
    const fetch = (bit & 8) !== 0;
    const check_pkey = !fetch && user_page;
    const check_write = check_pkey && write && (user || wp);
    const pkey_bits = (check_pkey ? 1 : 0) | (check_write ? 2 : 0);
    mmu.pkru_mask = (mmu.pkru_mask | (pkey_bits << (bit << 1))) >>> 0;
  }
}

/** 36d9594dfbf2 mmu.c:4661 update_last_nonleaf_level: 2-level tables have large pages only with CR4.PSE. */
export function update_last_nonleaf_level(vcpu: kvm_vcpu, mmu: kvm_mmu): void {
  const level = root_level(mmu, 'update_last_nonleaf_level');
  mmu.last_nonleaf_level = level === PT32_ROOT_LEVEL && is_pse(vcpu) ? level + 1 : level;
}
