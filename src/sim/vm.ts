// SPDX-License-Identifier: GPL-2.0-only
import type { RoleReads } from '../role/reads.ts';
import { Counters, Tally } from './counters.ts';
import type { Host } from './host.ts';
import { EventLog } from './log.ts';
import type { PhysicalMemory } from './memory.ts';
import { Memslots } from './memslots.ts';
import { ReverseMap } from './rmap.ts';
import { ShadowPages } from './shadow-pages.ts';

/** Options of a new VM. */
export interface VmOptions {
  readonly host: Host;
  readonly memory: PhysicalMemory;
  /** Guest RAM in 4 KiB frames, from frame 0. */
  readonly guestFrames: number;
  /** Most shadow pages before reclaim (n_max_mmu_pages). */
  readonly pageLimit: number;
  /** Notes role reads when given. */
  readonly reads: RoleReads | null;
}

/** One virtual machine: everything that its vCPUs share and that is true for every kernel. */
export class Vm {
  readonly host: Host;
  readonly memory: PhysicalMemory;
  readonly pages: ShadowPages;
  readonly rmap = new ReverseMap();
  readonly memslots: Memslots;
  readonly log = new EventLog();
  readonly counters = new Counters();
  readonly reads: RoleReads | null;
  pageLimit: number;
  /** New and found shadow pages, zapped pages, by role word; page faults by error code. */
  readonly newByRole = new Tally();
  readonly existingByRole = new Tally();
  readonly zappedByRole = new Tally();
  readonly faultsByError = new Tally();

  constructor({ host, memory, guestFrames, pageLimit, reads }: VmOptions) {
    this.host = host;
    this.memory = memory;
    this.pages = new ShadowPages(memory);
    this.memslots = new Memslots(guestFrames);
    this.pageLimit = pageLimit;
    this.reads = reads;
  }
}
