// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import type { Host } from './host.ts';
import { localHost } from './local-host.ts';
import type { ModeName } from './modes.ts';
import { qemuHost } from './qemu-host.ts';

/** What the user said about the machine, and what any machine needs to know. */
export interface HostChoice {
  readonly kernel: readonly string[] | undefined;
  readonly via: 'kvm' | 'qemu' | undefined;
  /** Default: npt in QEMU, here as KVM is loaded. */
  readonly mode: ModeName | undefined;
  /** Seconds that one guest may take, and how many guests there are. */
  readonly seconds: number;
  readonly guests: number;
  /** Folder for temporary files. */
  readonly scratch: string;
}

/** The machine to record on: with a kernel one in QEMU, else this one. UserError when it lacks something. */
export function chooseHost({ kernel, via, ...options }: HostChoice): Host {
  if (via === 'kvm' && kernel) {
    throw new UserError({
      place: '--via kvm',
      found: '--kernel',
      expected: 'the kernel that runs here, or QEMU',
      suggestion: '--via qemu',
    });
  }
  if (kernel) return qemuHost({ ...options, kernel, mode: options.mode ?? 'npt' });
  if (via !== 'qemu') return localHost(options);
  throw new UserError({
    place: '--via qemu',
    found: 'no --kernel',
    expected: '--kernel linux-image-….deb, or a folder with a kernel and its modules',
    suggestion: 'apt-get download linux-image-amd64, and the package it depends on',
  });
}
