// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile, type Row, type Section, type VectorFile } from '../../src/conform/format.ts';
import { conformParsed, same } from '../../src/conform/run.ts';
import type { Era, VectorRow } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import { encode, type Layout } from '../../src/role/layout.ts';
import { CR0, CR4 } from '../../src/sim/registers.ts';
import { CR3_B, l2, Machine, nestedPointer, PAGED_CR0 } from '../contract/root-machine.ts';

/**
 * What 7.2.12 and 7.3.4 do, beside their own role vectors: vectors of other kernels that hold for them, as the notes to
 * those vectors say, and behaviour that no vector covers.
 */

const folder = fileURLToPath(new URL('../vectors', import.meta.url));

function vectorFile(name: string): VectorFile {
  const path = join(folder, name);
  return parseVectorFile(path, readVectorText(path));
}

function rowsOf({ sections }: VectorFile): readonly Row[] {
  const section = sections[0]!;
  if (section.kind !== 'rows') throw new Error(`section ${section.name} has no rows`);
  return section.rows;
}

function eraOf(id: string): Era {
  const era = eras.find((each) => each.id === id);
  if (!era) throw new Error(`no port of ${id}`);
  return era;
}

const ids = ['v7.2', 'v7.3'] as const;

describe.each(ids)('%s', (id) => {
  const era = eraOf(id);

  it('answers register writes as 6.12 does, and takes INVPCID under TDP for a bug of KVM', () => {
    const file = vectorFile('v6.12-events.json');
    const rows = rowsOf(file);
    let impossible = 0;
    for (const { input, expected } of rows) {
      const answer = era.vectors.rows.events!(input, file.context);
      if (input.event === 'invpcid' && input.tdp === 1) {
        impossible++;
        expect(answer).toEqual({ ...expected, ret: 0, actions: [] });
      } else if (!same(answer, expected)) expect({ input, answer }).toEqual({ input, answer: expected });
    }
    expect(rows).toHaveLength(7797);
    expect(impossible).toBeGreaterThan(100);
  });

  it('keeps the cache of roots as every kernel since e5ed0fb0', () => {
    const file = vectorFile('e5ed0fb0-rootcache.json');
    const [section] = conformParsed({ ...file, sections: file.sections.map(withMovedRoles) }, era).sections;
    expect(section).toMatchObject({ passed: 8583, failed: 0 });
  });

  it('gives children the roles of 01b31714, written in the new layout', () => {
    const file = vectorFile('01b31714-child-roles.json');
    const old = eraOf('cr0wp').layouts.page;
    let checked = 0;
    for (const { input, expected } of rowsOf(file)) {
      const parent_role = inNewLayout(era.layouts.page, old, Number.parseInt(String(input.parent_role), 16));
      const access = newRights(Number(input.access));
      const wanted = inNewLayout(era.layouts.page, old, Number.parseInt(String(expected.role), 16));
      const { role } = era.vectors.rows['child-roles']!({ ...input, parent_role: hex(parent_role), access }, {});
      expect([input, role]).toEqual([input, hex(wanted)]);
      checked++;
    }
    expect(checked).toBeGreaterThan(800);
  });

  it('builds tables of all rights but the user one where nested page tables have SMEP', () => {
    const host = hostFor(era, { kind: 'npt', implementation: null, vendor: 'svm' });
    if ('unavailable' in host) throw new Error(host.unavailable);
    const { vcpu } = new Machine(era, { ...host, tdpSmep: true });
    // level 4, direct, access 11, efer_nx, cr0_wp, cr4_smep: the same but for cr4_smep and user as 0x6f84.
    expect(vcpu.view.roles()[1]!.base).toBe(0x106b84);
  });

  it('runs L2 on a root of its own where L1 asks for nested paging that its CPU has not', () => {
    const host = hostFor(era, { kind: 'shadow', implementation: null, vendor: 'svm' });
    if ('unavailable' in host) throw new Error(host.unavailable);
    const machine = new Machine(era, host);
    machine.toLongMode();
    const { vcpu } = machine;
    const l1Root = vcpu.view.root()!.frame;
    vcpu.vmrun!(l2(nestedPointer.svm));
    expect(machine.enter()).toBe(1);
    expect([vcpu.view.mmu(), vcpu.view.isGuestMode(), vcpu.view.root()!.pgd]).toEqual(['root_mmu', true, CR3_B]);
    // Words of the recorded nested-basic under npt=0.
    expect(vcpu.view.roles()[1]!.base).toBe(0x26f04);
    vcpu.vmexit!();
    // L1's root waited in the cache.
    expect(machine.enter()).toBe(0);
    expect(vcpu.view.root()!.frame).toBe(l1Root);
  });

  it('loads a page of zeros for a CR3 beyond memory, and reads it when the guest comes back', () => {
    const host = hostFor(era, { kind: 'shadow', implementation: null, vendor: 'svm' });
    if ('unavailable' in host) throw new Error(host.unavailable);
    const machine = new Machine(era, host);
    machine.toLongMode();
    expect(machine.vcpu.writeCr3(2 ** 30, false)).toBe('done');
    const pages = machine.vm.counters.get_page_new;
    expect(machine.enter()).toBe(1);
    expect(machine.vcpu.view.root()).toMatchObject({ role: null });
    expect(machine.vm.counters.get_page_new).toBe(pages);
    expect(machine.vcpu.writeCr3(CR3_B, false)).toBe('done');
    expect(machine.enter()).toBe(1);
    expect(machine.vcpu.view.root()).toMatchObject({ pgd: CR3_B });
  });

  it('keys shadow tables by CR4.SMEP with CR0.WP set, and finds each again', () => {
    const host = hostFor(era, { kind: 'shadow', implementation: null, vendor: 'svm' });
    if ('unavailable' in host) throw new Error(host.unavailable);
    const machine = new Machine(era, host);
    machine.toLongMode();
    const roots = [CR4.PAE | CR4.SMEP, CR4.PAE, CR4.PAE | CR4.SMEP].map((cr4) => {
      expect(machine.vcpu.writeCr4(cr4)).toBe('done');
      machine.enter();
      const { frame, role } = machine.vcpu.view.root()!;
      return [frame, role];
    });
    expect(roots.map(([, role]) => role)).toEqual([0x106f04, 0x6f04, 0x106f04]);
    expect(roots[2]).toEqual(roots[0]);
    expect(roots[1]![0]).not.toBe(roots[0]![0]);
  });
});

describe('v7.3 beside v7.2', () => {
  const of72 = rowsOf(vectorFile('v7.2-roles.json.gz'));
  const of73 = rowsOf(vectorFile('v7.3-roles.json.gz'));

  it('differs in role vectors only where long mode lacks PAE', () => {
    const later = new Map(of73.map(({ input, expected }) => [JSON.stringify(input), expected]));
    let common = 0;
    for (const { input, expected } of of72) {
      const other = later.get(JSON.stringify(input));
      if (other === undefined) continue;
      common++;
      const { spte_permissions: _, ...rest } = other;
      if (!same(rest, expected)) expect(input).toMatchObject({ cr0_pg: 1, efer_lma: 1, cr4_pae: 0 });
    }
    expect(common).toBeGreaterThan(20_000);
  });

  it('has a walker for L1 and L2: a CR0.WP write of L2 on nested paging leaves guest_mmu alone', () => {
    for (const id of ids) {
      const host = hostFor(eraOf(id), { kind: 'npt', implementation: null, vendor: 'svm' });
      if ('unavailable' in host) throw new Error(host.unavailable);
      const machine = new Machine(eraOf(id), host);
      machine.toLongMode();
      machine.vcpu.vmrun!(l2(nestedPointer.svm));
      machine.enter();
      const before = machine.state().roles;
      // guest_mmu shows the walker of L1's nested tables: cr0_wp 1, guest_mode.
      expect(before).toEqual([
        { base: 0x26f04, extended: 0xc1 },
        { base: 0x26f04, extended: null },
      ]);
      expect(machine.vcpu.writeCr0((PAGED_CR0 & ~CR0.WP) >>> 0)).toBe('done');
      expect(machine.enter()).toBe(0);
      expect(machine.state().roles).toEqual(before);
    }
  });
});

const hex = (word: number): string => word.toString(16).padStart(8, '0');

/** The words of these sequences are arbitrary, but for the bit that means invalid: 11 there, 12 since v7.2. */
function moveRole(word: number): number {
  const moved = ((word & 0x3800) << 1) | ((word & 0x4000) >>> 3);
  return ((word & ~0x7800) | moved) >>> 0;
}

function withMovedRoles(section: Section): Section {
  if (section.kind !== 'sessions') throw new Error(`section ${section.name} has no sessions`);
  const moved = (input: VectorRow): VectorRow =>
    typeof input.role === 'string' ? { ...input, role: hex(moveRole(Number.parseInt(input.role, 16))) } : input;
  return {
    ...section,
    sessions: section.sessions.map((session) => ({
      ...session,
      steps: session.steps.map((step) => ({ ...step, input: moved(step.input) })),
    })),
  };
}

/** Rights of three bits (execute, write, user) as rights of four (read, write, user, execute). */
const newRights = (access: number): number => 1 | (access & 6) | ((access & 1) << 3);

/**
 * A role word of the older layout in the newer one, with a read right; SMEP with CR0.WP set is not known and left out.
 */
function inNewLayout(layout: Layout, old: Layout, word: number): number {
  const fields: Record<string, number> = {};
  for (const { name, shift, mask, pad } of old.fields) {
    if (pad) continue;
    const value = (word >>> shift) & mask;
    fields[name === 'smep_andnot_wp' ? 'cr4_smep' : name] = name === 'access' ? newRights(value) : value;
  }
  return encode(layout, fields);
}
