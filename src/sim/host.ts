// SPDX-License-Identifier: GPL-2.0-only

/** A 64-bit value as two unsigned 32-bit halves. */
export interface U64 {
  readonly lo: number;
  readonly hi: number;
}

/** What KVM knows about the machine it runs on; constant for the life of a VM. */
export interface Host {
  /** Which vendor module runs: it decides intercepts, nested hooks and the format of two-dimensional tables. */
  readonly vendor: 'vmx' | 'svm';
  /** Two-dimensional paging in use: none (shadow paging), AMD nested paging, or Intel EPT. */
  readonly tdp: 'none' | 'npt' | 'ept';
  /** With two-dimensional paging: the TDP MMU (tree keyed by address) or the older MMU (hash keyed by gfn and role). */
  readonly tdpMmu: boolean;
  /** Depth the vendor forces (SVM: the host's own paging depth), 0 when it forces none (VMX). */
  readonly forcedTdpLevel: number;
  /** Deepest two-dimensional table the CPU can walk; 0 with shadow paging. */
  readonly maxTdpLevel: number;
  /** False when KVM's accessed mask is 0 (EPT without accessed and dirty bits). */
  readonly adBits: boolean;
  /**
   * Two-dimensional tables that tell the guest's user code from its kernel's, as KVM uses them: EPT with mode-based execute
   * control, NPT with guest-mode execute trap. Absent: not used.
   */
  readonly tdpSmep?: boolean;
  /** Physical address width that KVM uses for its own entries, in bits. */
  readonly physBits: number;
  /** Largest page level KVM may map: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB. */
  readonly maxHugePageLevel: number;
  /** The CPU itself has 1 GiB pages. */
  readonly gbPages: boolean;
  /** Memory-encryption bits in table entries (SME C-bit, MKTME key id): mask, and the value KVM puts there. */
  readonly encryptionMask: U64;
  readonly encryptionValue: U64;
  /** Module parameter kvm.flush_on_reuse (force_flush_and_sync_on_reuse). */
  readonly flushOnReuse: boolean;
  /** What the virtual CPU offers through CPUID. */
  readonly cpuid: GuestCpuid;
  /** What the CPU tells KVM about an exit. Absent: an ordinary CPU of today, which tells everything. */
  readonly exits?: ExitInformation;
}

/** What a CPU spares KVM, and how its own accesses look to KVM. */
export interface ExitInformation {
  /** Operand of a MOV to a control register, of INVLPG (SVM decode assists, VMX exit qualification). Without, KVM emulates. */
  readonly decodeAssists: boolean;
  /** Where the next instruction begins (SVM NRIPS, VMX instruction length). Without, KVM decodes to skip one. */
  readonly nextRip: boolean;
  /** An instruction that reads and writes memory reads first and writes then, instead of asking for both at once. */
  readonly splitUpdates: boolean;
  /** How an emulated CPU differs from the architecture. Absent: not at all. */
  readonly errata?: Errata;
}

/** Deviations of CPU emulators that KVM has been recorded on. */
export interface Errata {
  /** A reserved bit in a guest table gives a #PF with P=0 (QEMU's TCG; SDM vol. 3A 4.7 wants P=1). */
  readonly reservedIsNotPresent: boolean;
  /** A read of a guest table that counts as a write is reported as a write alone (Bochs; SDM vol. 3C table 28-7 wants both). */
  readonly tableReadIsWrite: boolean;
  /**
   * One TLB without tags: a switch between guest and host empties it, as does any write of CR3, which leaves no global
   * entry either (QEMU's TCG; SDM vol. 3A 4.10.2.4 and 4.10.4.1 keep those).
   */
  readonly untaggedTlb: boolean;
  /**
   * The first exit after an event was injected still has its type in EXITINTINFO, not valid (QEMU's TCG; APM vol. 2 15.7.2
   * leaves the field to exits during delivery).
   */
  readonly eventLeft: boolean;
  /** Walks of PAE tables set bit 5 of a PDPTE, where it is reserved (QEMU's TCG; SDM vol. 3A table 4-8). */
  readonly marksPdptes: boolean;
}

/** The CPUID facts that the role code or the guest's walks depend on. */
export interface GuestCpuid {
  /** MAXPHYADDR in bits. */
  readonly maxPhyAddr: number;
  /** 1 GiB pages. */
  readonly gbPages: boolean;
  /** AMD or Hygon: bit 8 of upper-level entries is reserved. */
  readonly amd: boolean;
  readonly pcid: boolean;
  readonly invpcid: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pku: boolean;
  readonly la57: boolean;
}
