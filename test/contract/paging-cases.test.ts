// SPDX-License-Identifier: GPL-2.0-only
/**
 * Cases that random programs meet too rarely. Each guest is a handful of entries, and the frame every access must reach
 * follows from them by hand.
 *
 *     4-level: table 32 → 33 → 34 → 35 (leaf);   32-bit: 32 → 35.   Entry 1 of the leaf maps the leaf itself.
 */
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { ACCESS } from '../../src/sim/paging-bits.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { Guest } from './guest.ts';

/** Present, writable, user, accessed, dirty. */
const RW = 0x67;
const paging = (CR0.PE | CR0.PG | CR0.WP) >>> 0;

/** Before v2.6.31 KVM drops unsync pages and prefetches by other rules: test/ports/base-role.test.ts. */
const shadowing = eras.filter(({ id }) => !id.startsWith('base-role'));

function fourLevel(guest: Guest): void {
  const { memory, vcpu } = guest;
  for (const table of [32, 33, 34]) memory.write64(table * 4096, ((table + 1) << 12) | RW, 0);
  memory.write64(35 * 4096, (100 << 12) | RW, 0);
  memory.write64(35 * 4096 + 8, (35 << 12) | RW, 0);
  vcpu.writeCr4(CR4.PAE);
  vcpu.writeEfer(EFER.LME | EFER.NXE);
  vcpu.writeCr3(32 * 4096, false);
  vcpu.writeCr0(paging);
}

const reach = (guest: Guest, gva: number): number | string => {
  const end = guest.access(gva, ACCESS.READ);
  return 'frame' in end ? end.frame : `#PF ${end.errorCode}`;
};

/** The guest stores an entry through a linear address; how that ends is KVM's business. */
function store(guest: Guest, gva: number, frame: number, bytes: 4 | 8): void {
  const end = guest.access(gva, ACCESS.WRITE, (gpa) => {
    if (bytes === 8) guest.memory.write64(gpa, (frame << 12) | RW, 0);
    else guest.memory.write32(gpa, (frame << 12) | RW);
    return bytes;
  });
  expect(end).toHaveProperty('frame');
}

describe.each(shadowing.map((era) => [era.id, era] as const))('%s', (_id, era) => {
  const start = (): Guest =>
    new Guest(era, { mode: { kind: 'shadow', implementation: 'legacy' }, hostPageLevel: 1, pageLimit: 1000 });

  it('lets a leaf table go out of sync on the first write, and INVLPG catches up', () => {
    const guest = start();
    fourLevel(guest);
    expect(reach(guest, 0)).toBe(100);
    store(guest, 0x1000, 101, 8);
    expect(guest.vm.counters.unsync_page).toBe(1);
    // Later writes to the same table cost no exit.
    expect(guest.access(0x1000, ACCESS.WRITE).exits).toEqual([]);
    guest.vcpu.invlpg(0);
    expect(reach(guest, 0)).toBe(101);
    expect(guest.vm.counters.sync_page).toBe(0);
  });

  it('syncs what became unsync when the guest loads CR3', () => {
    const guest = start();
    fourLevel(guest);
    expect(reach(guest, 0)).toBe(100);
    store(guest, 0x1000, 101, 8);
    guest.vcpu.writeCr3(32 * 4096, false);
    expect(reach(guest, 0)).toBe(101);
    expect(guest.vm.counters.sync_page).toBe(1);
    // And it is write-protected again: the next write makes it unsync anew.
    store(guest, 0x1000, 102, 8);
    expect(guest.vm.counters.unsync_page).toBe(2);
  });

  it('emulates writes to upper tables, and zaps what the third of them hits', () => {
    const guest = start();
    fourLevel(guest);
    // Entry 2 of the leaf maps the level-2 table.
    guest.memory.write64(35 * 4096 + 16, (34 << 12) | RW, 0);
    expect(reach(guest, 0)).toBe(100);
    for (const index of [5, 6, 7]) {
      guest.memory.write64(34 * 4096 + index * 8, 0, 0);
      const end = guest.access(0x2000 + index * 8, ACCESS.WRITE, (gpa) => {
        guest.memory.write64(gpa, 0, 0);
        return 8;
      });
      expect(end.exits).toContain('emulate');
    }
    expect(guest.vm.counters.pte_write).toBe(3);
    expect(reach(guest, 0)).toBe(100);
  });

  it('syncs a table before it is linked below an entry that became present', () => {
    const guest = start();
    fourLevel(guest);
    // A second address space whose leaf table 39 maps table 35 at 0x1000.
    const { memory, vcpu } = guest;
    for (const table of [36, 37, 38]) memory.write64(table * 4096, ((table + 1) << 12) | RW, 0);
    memory.write64(39 * 4096 + 8, (35 << 12) | RW, 0);
    memory.write64(35 * 4096 + 16, (102 << 12) | RW, 0);
    expect(reach(guest, 0)).toBe(100);
    expect(reach(guest, 0x2000)).toBe(102);
    store(guest, 0x1000, 100, 8);
    // KVM sees the root's entry go, so that table 33 has no parent and no root above it is synced for its sake.
    memory.write64(32 * 4096, 0, 0);
    vcpu.guestWrote(32 * 4096, 8);
    vcpu.writeCr3(36 * 4096, false);
    store(guest, 0x1010, 103, 8);
    memory.write64(32 * 4096, (33 << 12) | RW, 0);
    vcpu.guestWrote(32 * 4096, 8);
    vcpu.writeCr3(32 * 4096, false);
    // The first access links table 33 again and repairs its own leaf; the second finds whatever was there.
    expect(reach(guest, 0)).toBe(100);
    expect(reach(guest, 0x2000)).toBe(103);
  });

  it('reads the right half of a 32-bit table', () => {
    const guest = start();
    const { memory, vcpu } = guest;
    memory.write32(32 * 4096, (35 << 12) | RW);
    memory.write32(35 * 4096 + 4, (35 << 12) | RW);
    memory.write32(35 * 4096 + 600 * 4, (100 << 12) | RW);
    // Entry 88 is where entry 600 would be sought if the halves were confused: 600 - 512.
    memory.write32(35 * 4096 + 88 * 4, (105 << 12) | RW);
    vcpu.writeCr4(CR4.PSE);
    vcpu.writeCr3(32 * 4096, false);
    vcpu.writeCr0(paging);
    expect(reach(guest, 600 * 4096)).toBe(100);
    store(guest, 0x1000 + 600 * 4, 101, 4);
    vcpu.invlpg(600 * 4096);
    expect(reach(guest, 600 * 4096)).toBe(101);
    store(guest, 0x1000 + 600 * 4, 102, 4);
    vcpu.writeCr3(32 * 4096, false);
    expect(reach(guest, 600 * 4096)).toBe(102);
  });

  it('maps neighbours ahead only where the guest marked them accessed', () => {
    const guest = start();
    fourLevel(guest);
    // Entries 3 and 4 of the run of eight: one accessed, one not. Prefetching ends at the first that may not be mapped,
    // so entry 2 is filled in as well.
    guest.memory.write64(35 * 4096 + 16, (102 << 12) | RW, 0);
    guest.memory.write64(35 * 4096 + 24, (103 << 12) | RW, 0);
    guest.memory.write64(35 * 4096 + 32, (104 << 12) | (RW & ~0x20), 0);
    expect(reach(guest, 0)).toBe(100);
    expect(guest.access(0x3000, ACCESS.READ)).toEqual({ frame: 103, exits: [] });
    expect(guest.access(0x4000, ACCESS.READ)).toEqual({ frame: 104, exits: ['retry'] });
  });
});
