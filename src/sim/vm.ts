// SPDX-License-Identifier: GPL-2.0-only
import type { RoleReads } from '../role/reads.ts';
import { Counters, Tally } from './counters.ts';
import type { Host } from './host.ts';
import { EventLog } from './log.ts';
import type { PhysicalMemory } from './memory.ts';
import { Memslots } from './memslots.ts';
import { tuneOptimiser } from './optimiser.ts';
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
  /** Level of the pages that the host backs guest RAM with: 1 = 4 KiB (the default), 2 = 2 MiB, 3 = 1 GiB. */
  readonly hostPageLevel?: number;
  /** Notes role reads when given. */
  readonly reads: RoleReads | null;
  /** What this kernel has beyond its era's port, by names that the port knows. */
  readonly differences?: readonly string[];
}

/** One view of guest memory with what KVM keeps for it: the ordinary one, and the one that SMM sees. */
export interface AddressSpace {
  readonly memslots: Memslots;
  readonly rmap: ReverseMap;
}

/** One virtual machine: everything that its vCPUs share and that is true for every kernel. */
export class Vm {
  readonly host: Host;
  readonly memory: PhysicalMemory;
  readonly pages: ShadowPages;
  /** Of the ordinary address space. */
  readonly rmap: ReverseMap;
  readonly memslots: Memslots;
  /** Indexed by role.smm where a kernel has SMM: both see the same RAM, but tracking and mappings are counted apart. */
  readonly addressSpaces: readonly [ordinary: AddressSpace, smm: AddressSpace];
  readonly hostPageLevel: number;
  readonly log = new EventLog();
  readonly counters = new Counters();
  readonly reads: RoleReads | null;
  readonly differences: ReadonlySet<string>;
  pageLimit: number;
  /** New and found shadow pages, zapped pages, by role word; page faults by error code. */
  readonly newByRole = new Tally();
  readonly existingByRole = new Tally();
  readonly zappedByRole = new Tally();
  readonly faultsByError = new Tally();

  constructor({ host, memory, guestFrames, pageLimit, reads, hostPageLevel = 1, differences = [] }: VmOptions) {
    tuneOptimiser();
    this.host = host;
    this.memory = memory;
    this.pages = new ShadowPages(memory);
    this.addressSpaces = [
      { memslots: new Memslots(guestFrames), rmap: new ReverseMap() },
      { memslots: new Memslots(guestFrames), rmap: new ReverseMap() },
    ];
    this.memslots = this.addressSpaces[0].memslots;
    this.rmap = this.addressSpaces[0].rmap;
    this.hostPageLevel = hostPageLevel;
    this.pageLimit = pageLimit;
    this.reads = reads;
    this.differences = new Set(differences);
  }
}
