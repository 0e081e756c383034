// SPDX-License-Identifier: GPL-2.0-only
import type { Era, MmuImplementation, MmuKind, Mode } from '../era.ts';
import type { Errata, ExitInformation, GuestCpuid, Host } from '../sim/host.ts';

/** What a user may choose about the host; everything else follows. */
export interface HostOptions {
  readonly kind: MmuKind;
  /** null: what the kernel uses by default. */
  readonly implementation: MmuImplementation | null;
  /** Vendor under shadow paging; nested paging is AMD's and EPT is Intel's. */
  readonly vendor: Host['vendor'];
  /** Emulator below the host, whose deviations from the architecture are to be had; null or absent: a real CPU. */
  readonly emulator?: 'tcg' | 'bochs' | null;
  /** Replaces single CPUID facts. */
  readonly cpuid?: Partial<GuestCpuid>;
}

/** A kernel that cannot run what was asked for, and why. */
export interface Unavailable {
  readonly unavailable: string;
}

const zero = { lo: 0, hi: 0 } as const;

/**
 * CPUID of the machines that the recordings were made on: AMD's as QEMU's software CPU offers it (no PCID), Intel's as a
 * Skylake model does.
 */
const cpuidOf: Readonly<Record<Host['vendor'], GuestCpuid>> = {
  svm: {
    maxPhyAddr: 40,
    gbPages: true,
    amd: true,
    pcid: false,
    invpcid: false,
    smep: true,
    smap: true,
    pku: false,
    la57: false,
  },
  vmx: {
    maxPhyAddr: 40,
    gbPages: true,
    amd: false,
    pcid: true,
    invpcid: true,
    smep: true,
    smap: true,
    pku: false,
    la57: false,
  },
};

/** QEMU's software CPU has neither decode assists nor NRIPS, and reads before it writes; Bochs, as Intel's CPUs, tells all. */
const exitsOf: Readonly<Record<Host['vendor'], ExitInformation>> = {
  svm: { decodeAssists: false, nextRip: false, splitUpdates: true },
  vmx: { decodeAssists: true, nextRip: true, splitUpdates: false },
};

const errataOf: Readonly<Record<NonNullable<HostOptions['emulator']>, Errata>> = {
  tcg: { reservedIsNotPresent: true, tableReadIsWrite: false, untaggedTlb: true, eventLeft: true, marksPdptes: true },
  bochs: {
    reservedIsNotPresent: false,
    tableReadIsWrite: true,
    untaggedTlb: false,
    eventLeft: false,
    marksPdptes: false,
  },
};

/** The host for an era, or why the era has no such mode. */
export function hostFor(era: Era, options: HostOptions): Host | Unavailable {
  const mode = modeFor(era, options);
  if (mode === undefined) {
    const wanted =
      options.implementation === null ? options.kind : `${options.kind} with the ${options.implementation} MMU`;
    return { unavailable: `not in this era: ${wanted}` };
  }
  const vendor = options.kind === 'npt' ? 'svm' : options.kind === 'ept' ? 'vmx' : options.vendor;
  const cpuid = { ...cpuidOf[vendor], ...options.cpuid };
  const levels = cpuid.la57 ? 5 : 4;
  const tdp = options.kind === 'shadow' ? 'none' : options.kind;
  return {
    vendor,
    tdp,
    tdpMmu: mode.implementation === 'tdp-mmu',
    forcedTdpLevel: tdp === 'npt' ? levels : 0,
    maxTdpLevel: tdp === 'none' ? 0 : levels,
    adBits: true,
    physBits: cpuid.maxPhyAddr,
    maxHugePageLevel: 3,
    gbPages: true,
    encryptionMask: zero,
    encryptionValue: zero,
    flushOnReuse: false,
    cpuid,
    exits: { ...exitsOf[vendor], ...(options.emulator ? { errata: errataOf[options.emulator] } : {}) },
  };
}

function modeFor(era: Era, { kind, implementation }: HostOptions): Mode | undefined {
  return era.modes.find(
    (mode) => mode.kind === kind && (implementation === null || mode.implementation === implementation),
  );
}
