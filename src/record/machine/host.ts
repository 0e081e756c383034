// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import type { ModeName } from './modes.ts';

/** What a kernel says about itself, raw. */
export interface Survey {
  /** Type information of the kernel, and of the kvm module when that is apart. */
  readonly btf: { readonly kernel: Uint8Array; readonly kvm: Uint8Array | null };
  /** Lines of /proc/kallsyms that have the probed functions. */
  readonly kallsyms: string;
}

/** What tracing brought, raw. */
export interface Traced {
  /** `uname -r`, and the line of /proc/version. */
  readonly release: string;
  readonly version: string;
  /** Lines `module.parameter=value`. */
  readonly parameters: string;
  /** Output of `monitor cpuid`. */
  readonly cpuid: string;
  /** Files of trace-guests.sh by name. */
  readonly output: ReadonlyMap<string, Buffer>;
}

/** A machine with KVM: this one, or one in QEMU. */
export interface Host {
  /** How its modules are loaded; names the folder of its recordings. */
  readonly mode: ModeName;
  /** Line of run-info.txt that says what the guest's processor runs on. */
  readonly about: string;
  survey(): Survey;
  /** Runs guests; `input` has the files that trace-guests.sh wants beside the monitor. */
  trace(input: ReadonlyMap<string, Uint8Array | string>): Traced;
}

/** The error for a kernel whose structs cannot be found. */
export const noTypes = (place: string): UserError =>
  new UserError({
    place,
    found: 'no /sys/kernel/btf/vmlinux',
    expected: 'a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of Debian are',
  });
