// SPDX-License-Identifier: GPL-2.0-only
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { era } from '../../snapshots/2018-10-role-union/index.ts';
import { mmu_base_role_mask } from '../../snapshots/2018-10-role-union/role.ts';
import { era as before } from '../../snapshots/2018-10-role-union-before/index.ts';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile, type Section, type VectorFile } from '../../src/conform/format.ts';
import { conformParsed } from '../../src/conform/run.ts';
import type { Era, EraVcpu, EraVm, VectorRow } from '../../src/era.ts';
import { encode } from '../../src/role/layout.ts';
import { RoleReads } from '../../src/role/reads.ts';
import { type Cpu, inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import type { Reason } from '../../src/sim/log.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';

const vectorFile = (name: string): VectorFile => {
  const path = fileURLToPath(new URL(`../vectors/${name}`, import.meta.url));
  return parseVectorFile(path, readVectorText(path));
};
const files = ['36d9594d-roles.json.gz', '36d9594d-events.json', '36d9594d-traces.json.gz'].map(vectorFile);

/** The sections without a column that the code before the commit cannot have. */
function without(column: string, file: VectorFile): VectorFile {
  const strip = (section: Section): Section => {
    if (section.kind === 'sessions') return section;
    const rows = section.rows.map(({ input, expected }) => {
      const { [column]: _, ...kept } = expected;
      return { input, expected: kept };
    });
    return { ...section, rows };
  };
  return { ...file, sections: file.sections.map(strip) };
}

const counts = {
  init: 8095,
  nested_mmu: 544,
  shadow_ept: 598,
  svm_npt: 1007,
  guest_rsvd: 281,
  shadow_zero: 642,
  tdp_zero: 31,
  permission_fault: 297,
  last_gpte: 30,
  pkru_sequence: 269,
  child: 4490,
  roots: 44,
  misaligned: 132,
  written_sptes: 160,
  events: 7973,
  traces: 4810,
};

describe('what the real code answered', () => {
  it.each([
    { of: era, vectors: files },
    // "No role value and no control flow changes": the code before answers the same, but has no extended half to show.
    { of: before, vectors: files.map((file) => without('ext_role', file)) },
  ])('$of.id: all rows and steps', ({ of, vectors }) => {
    const sections = vectors.flatMap((file) => conformParsed(file, of).sections);
    expect(sections.flatMap(({ failures }) => failures)).toEqual([]);
    expect(Object.fromEntries(sections.map(({ name, passed }) => [name, passed]))).toEqual(counts);
    for (const { failed, excluded } of sections) expect([failed, excluded]).toEqual([0, 0]);
  });

  it('tells an unanswered extended half apart from a wrong one', () => {
    const [roles] = files;
    const failures = conformParsed(roles!, before).sections.flatMap((section) => section.failures);
    expect(failures).toHaveLength(10);
    for (const failure of failures) expect(failure).toMatch(/: ext_role is missing, expected "00000000"$/);
  });
});

// --- a vCPU to try things on
// ------------------------------------------------------------------------------------------

type Kind = 'shadow svm' | 'shadow vmx' | 'npt svm' | 'ept vmx';

function hostOf(kind: Kind): Host {
  const [paging, vendor] = kind.split(' ') as ['shadow' | 'npt' | 'ept', Host['vendor']];
  const no64 = { lo: 0, hi: 0 };
  return {
    vendor,
    tdp: paging === 'shadow' ? 'none' : paging,
    tdpMmu: false,
    forcedTdpLevel: paging === 'npt' ? 4 : 0,
    maxTdpLevel: paging === 'shadow' ? 0 : 4,
    adBits: true,
    physBits: 46,
    maxHugePageLevel: 3,
    gbPages: true,
    encryptionMask: no64,
    encryptionValue: no64,
    flushOnReuse: false,
    cpuid: {
      maxPhyAddr: 46,
      gbPages: true,
      amd: vendor === 'svm',
      pcid: true,
      invpcid: true,
      smep: true,
      smap: true,
      pku: true,
      la57: true,
    },
  };
}

const PAGED = (CR0.PE | CR0.PG | CR0.WP | 0x10) >>> 0;
const LONG = { cr0: PAGED, cr3: 0x10000, cr4: CR4.PAE, efer: EFER.LME | EFER.LMA };

interface Bench {
  readonly vm: Vm;
  readonly eraVm: EraVm;
  readonly vcpu: EraVcpu;
  readonly registers: Registers;
  readonly reasons: (Reason | null)[];
  /** Context resets since the vCPU was created. */
  resets(): number;
}

/** A guest of 16 MiB in long mode (or in the given mode), not entered yet. */
function bench(kind: Kind, state: Partial<typeof LONG> = {}, of: Era = era, cpu: Cpu = inertCpu): Bench {
  const memory = new PhysicalMemory();
  const reads = new RoleReads();
  const vm = new Vm({ host: hostOf(kind), memory, guestFrames: 4096, pageLimit: 1000, reads });
  const registers = new Registers();
  Object.assign(registers, LONG, state);
  const eraVm = of.create(vm);
  const reasons: (Reason | null)[] = [];
  vm.log.onRootLoad = (reason) => reasons.push(reason);
  const vcpu = eraVm.createVcpu(registers, cpu);
  const atCreation = vm.counters.reset_context;
  return { vm, eraVm, vcpu, registers, reasons, resets: () => vm.counters.reset_context - atCreation };
}

/** Root loads that an entry makes. */
function loads({ vm, vcpu }: Bench): number {
  const first = vm.counters.mmu_load;
  expect(vcpu.enter()).toBe('entered');
  return vm.counters.mmu_load - first;
}

const role = (values: Readonly<Record<string, number>>): number => encode(era.layouts.page, values);

describe('roles, worked out from kvm_host.h:257', () => {
  it('keeps in a context what mmu_base_role_mask names, mmu.c:181', () => {
    const named = ['cr4_pae', 'nxe', 'cr0_wp', 'smep_andnot_wp', 'smap_andnot_wp', 'ad_disabled', 'guest_mode', 'smm'];
    expect(mmu_base_role_mask).toBe(role(Object.fromEntries(named.map((name) => [name, 1]))));
  });

  it('never has nxe, for is_nx() returns 0x800 and the field keeps bit 0', () => {
    const b = bench('shadow svm', { efer: LONG.efer | EFER.NXE });
    b.vcpu.enter();
    expect(b.vcpu.view.roles()).toEqual([{ base: role({ cr4_pae: 1, cr0_wp: 1 }), extended: 0 }]);
    expect(b.vcpu.view.root()!.role).toBe(role({ level: 4, cr4_pae: 1, access: 7, cr0_wp: 1 }));
    // So the page of the context without NX is found again, though the context is set up anew.
    b.vcpu.writeEfer(LONG.efer);
    expect(loads(b)).toBe(1);
    expect([b.vm.counters.get_page_new, b.vm.counters.get_page_existing]).toEqual([1, 1]);
  });

  it('takes no register of the guest into a two-dimensional page', () => {
    const b = bench('npt svm');
    b.vcpu.enter();
    expect(b.vcpu.view.roles()).toEqual([{ base: 0, extended: 0 }]);
    expect(b.vcpu.view.root()!.role).toBe(role({ level: 4, direct: 1, access: 7 }));
    // Paging off: the MMU's root_level is 0, but its root is found.
    b.vcpu.writeCr0(0x11);
    expect(loads(b)).toBe(1);
    expect(b.vm.counters.get_page_new).toBe(1);
  });

  it('the code before says the same in one word', () => {
    const b = bench('shadow svm', {}, before);
    expect(before.roleWords).toEqual([{ name: 'base_role', extended: false }]);
    expect(b.vcpu.view.roles()).toEqual([{ base: role({ cr4_pae: 1, cr0_wp: 1 }), extended: null }]);
  });

  it('prints roles as KVM_MMU_PAGE_PRINTK does', () => {
    // As recorded from 4.20.1, where nxe is real: "l4 pae q0 wux nxe ad", "l2 q0 direct wux !nxe ad".
    expect(era.roleText(role({ level: 4, cr4_pae: 1, access: 7, nxe: 1 }))).toBe('l4 pae q0 wux nxe ad');
    expect(era.roleText(role({ level: 2, direct: 1, access: 7 }))).toBe('l2 q0 direct wux !nxe ad');
    expect(era.roleText(role({ level: 1, quadrant: 3, access: 5, invalid: 1, ad_disabled: 1 }))).toBe(
      'l1 q3 -ux invalid !nxe !ad',
    );
  });
});

describe('masks', () => {
  const init = (row: VectorRow): VectorRow => era.vectors.rows.init!({ tdp: 0, ad_bits: 1, ...row }, {});
  const long = { cr0_pg: 1, cr4_pae: 1, efer_lma: 1 };

  it('permission bytes with everything on: wf | uf | ff | smepf | smapf, mmu.c:4514', () => {
    // Byte 0 (supervisor read): SMAP refuses user pages, access 4 to 7: 0xf0. Byte 1 (write): those, and pages without
    // W (access 0, 1, 4, 5: 0x33): 0xf3. Byte 2 (user read): supervisor pages, 0x0f; byte 3: 0x0f | 0x33 = 0x3f. Bytes
    // 4 to 7 lift SMAP. Bytes 8 on (fetch): pages without X (0x55), and SMEP: 0xf0 | 0x55 = 0xf5.
    const row = init({ ...long, cr0_wp: 1, cr4_smep: 1, cr4_smap: 1, efer_nx: 1 });
    expect(row.permissions).toBe('f0f30f3f00330f3ff5f75f7ff5f75f7f');
  });

  it('permission bytes of EPT: no SMEP, no SMAP, no CR0.WP', () => {
    const row = era.vectors.rows.shadow_ept!(
      {
        tdp: 1,
        host_ad_bits: 1,
        smm: 0,
        l1_cr0_wp: 0,
        l1_efer_nx: 0,
        l1_cr4_smep: 1,
        execonly: 1,
        accessed_dirty: 1,
        maxphyaddr: 46,
        host_phys_bits: 46,
      },
      {},
    );
    expect(row.permissions).toBe('00330f3f00330f3f55775f7f55775f7f');
  });

  it('pkru_mask only grows: CR0.WP 1 -> 0 keeps the bit that WP made count', () => {
    const masks = (state_0: number, state_1: number, state_2: number) => {
      const row = era.vectors.rows.pkru_sequence!({ state_0, state_1, state_2 }, {});
      return [row.pkru_mask_0, row.pkru_mask_1, row.pkru_mask_2];
    };
    const [wp, pke, lma] = [1, 2, 4];
    expect(masks(pke + lma, pke + lma, pke + lma)[0]).toBe('0000d500');
    expect(masks(wp + pke + lma, pke + lma, pke + lma)).toEqual(['0000dd00', '0000dd00', '0000dd00']);
    // Protection keys off for a moment clear it.
    expect(masks(wp + pke + lma, lma, pke + lma)).toEqual(['0000dd00', '00000000', '0000d500']);
  });
});

describe('cached roots, mmu.c:4124', () => {
  it('finds the last three of CR3 again, and frees the oldest for a fifth', () => {
    const b = bench('shadow svm');
    b.vcpu.enter();
    for (const cr3 of [0x11000, 0x12000, 0x13000]) {
      b.vcpu.writeCr3(cr3, false);
      expect(loads(b)).toBe(1);
    }
    expect(b.vcpu.view.previousRoots().map((root) => root!.pgd)).toEqual([0x12000, 0x11000, 0x10000]);
    b.vcpu.writeCr3(0x10000, false);
    expect(loads(b)).toBe(0);
    b.vcpu.writeCr3(0x14000, false);
    expect(loads(b)).toBe(1);
    b.vcpu.writeCr3(0x11000, false);
    expect(loads(b)).toBe(1);
    expect([b.vm.counters.new_pgd_hit, b.vm.counters.new_pgd_miss]).toEqual([1, 5]);
  });

  it('compares the whole CR3, its PWT and PCD bits too', () => {
    const b = bench('shadow svm');
    b.vcpu.enter();
    b.vcpu.writeCr3(0x11000, false);
    b.vcpu.enter();
    b.vcpu.writeCr3(0x10008, false);
    expect(loads(b)).toBe(1);
    expect(b.vm.counters.get_page_existing).toBe(1);
  });

  it('a CR3 that is no RAM: #GP with CR4.PAE, as PDPTEs are read even in long mode, else a triple fault', () => {
    const long = bench('shadow svm');
    long.vcpu.enter();
    expect(long.vcpu.writeCr3(0x4000000, false)).toBe('gp');
    const legacy = bench('shadow svm', { cr4: 0, efer: 0 });
    legacy.vcpu.enter();
    expect(legacy.vcpu.writeCr3(0x4000000, false)).toBe('done');
    expect(legacy.vcpu.enter()).toBe('shutdown');
  });
});

describe('nested', () => {
  const l2 = (pointer: number | null) => ({ ...LONG, cr3: 0x12000, pointer, tag: 1 });

  it('files the outgoing root under the wrong key: the first return to an EPTP misses, the second hits', () => {
    const b = bench('ept vmx');
    b.vcpu.enter();
    const round = (): [number, number] => {
      b.vcpu.vmentry!(l2(0x3001e));
      const entry = loads(b);
      b.vcpu.nestedVmexit!();
      return [entry, loads(b)];
    };
    // L1's own root is filed under L2's CR3 each time, and is never found again.
    expect([round(), round(), round(), round()]).toEqual([
      [1, 1],
      [1, 1],
      [0, 1],
      [0, 1],
    ]);
  });

  it('shadows EPT12 with the role of root_mmu: guest_mode, no cr4_pae', () => {
    const b = bench('ept vmx');
    b.vcpu.enter();
    b.vcpu.vmentry!(l2(0x3001e));
    b.vcpu.enter();
    expect(b.vcpu.view.mmu()).toBe('guest_mmu');
    expect(b.vcpu.view.root()).toMatchObject({
      pgd: 0x3001e,
      role: role({ level: 4, access: 7, guest_mode: 1, ad_disabled: 1 }),
    });
  });

  it('resets on every VMRUN and #VMEXIT; L2 has guest_mode 0, and L1 gets its root at once', () => {
    const b = bench('npt svm');
    b.vcpu.enter();
    b.vcpu.vmrun!(l2(0x13000));
    expect(loads(b)).toBe(1);
    expect(b.vcpu.view.root()!.role).toBe(role({ level: 4, cr4_pae: 1, access: 7, cr0_wp: 1 }));
    b.vcpu.vmexit!();
    expect(loads(b)).toBe(0);
    expect(b.resets()).toBe(2);
    expect(b.reasons.map((reason) => reason?.by)).toEqual([undefined, 'enter_svm_guest_mode', 'nested_svm_vmexit']);
  });

  it('refuses nested paging where KVM has none, and says so for a PAE L1, on which it would oops', () => {
    const shadow = bench('shadow svm');
    shadow.vcpu.vmrun!(l2(0x13000));
    expect(shadow.vcpu.view.isGuestMode()).toBe(false);
    const pae = bench('npt svm', { efer: 0 });
    pae.vcpu.enter();
    pae.vcpu.vmrun!(l2(0x13000));
    expect(() => pae.vcpu.enter()).toThrow(/^unsupported: /);
  });
});

describe('reasons', () => {
  it('names function and bits of every reload', () => {
    const b = bench('shadow svm');
    b.vcpu.enter();
    const steps: (() => void)[] = [
      () => b.vcpu.writeCr0((PAGED & ~CR0.WP) >>> 0),
      () => b.vcpu.writeCr4(CR4.PAE | CR4.PGE),
      () => b.vcpu.writeEfer(LONG.efer | EFER.NXE),
      () => b.vcpu.writeCr3(0x11000, false),
      () => b.eraVm.memslotsChanged(),
    ];
    for (const step of steps) {
      step();
      expect(loads(b)).toBe(1);
    }
    expect(b.reasons.map((reason) => reason && `${reason.by} ${reason.bits}`)).toEqual([
      null,
      'kvm_set_cr0 CR0.WP',
      'kvm_set_cr4 CR4.PGE',
      'set_efer EFER.NX',
      'kvm_set_cr3 CR3',
      'kvm_mmu_invalidate_zap_all_pages memslots',
    ]);
  });

  it('an SMI from long mode with NX costs six resets: two in, EFER.NX, CR4, CR0 and the flag out', () => {
    const b = bench('npt svm', { efer: LONG.efer | EFER.NXE });
    b.vcpu.enter();
    b.vcpu.smi!();
    expect([b.resets(), b.registers.cr0, b.registers.cr4, b.registers.efer]).toEqual([2, 0x10010, 0, 0]);
    b.vcpu.enter();
    expect(b.vcpu.view.root()!.role).toBe(role({ level: 4, direct: 1, access: 7, smm: 1 }));
    b.vcpu.rsm!();
    expect(b.resets()).toBe(6);
    expect([b.registers.cr0, b.registers.cr3, b.registers.cr4]).toEqual([LONG.cr0, LONG.cr3, LONG.cr4]);
    b.vcpu.enter();
    expect(b.vcpu.view.isSmm()).toBe(false);
  });

  it('without unrestricted guest the step into real mode resets twice', () => {
    const resets = (kind: Kind): number => {
      const b = bench(kind, { cr0: 0x11, cr4: 0, efer: 0 });
      b.vcpu.writeCr0(0x10010);
      return b.resets();
    };
    expect([resets('shadow vmx'), resets('shadow svm'), resets('ept vmx')]).toEqual([2, 1, 1]);
  });
});

describe('exits', () => {
  const exits = (kind: Kind) => {
    const { vcpu } = bench(kind);
    const cr4 = CR4.PAE;
    return {
      ts: vcpu.intercepts('cr0', (PAGED | 8) >>> 0),
      wp: vcpu.intercepts('cr0', (PAGED & ~CR0.WP) >>> 0),
      cr3: vcpu.intercepts('cr3', 0x11000),
      pge: vcpu.intercepts('cr4', cr4 | CR4.PGE),
      smep: vcpu.intercepts('cr4', cr4 | CR4.SMEP),
      efer: vcpu.intercepts('efer', LONG.efer),
      invlpg: vcpu.interceptsInvalidation(),
    };
  };

  it.each([
    ['shadow svm', { ts: false, wp: true, cr3: true, pge: true, smep: true, efer: true, invlpg: true }],
    ['npt svm', { ts: false, wp: true, cr3: false, pge: true, smep: true, efer: true, invlpg: false }],
    ['shadow vmx', { ts: false, wp: true, cr3: true, pge: true, smep: true, efer: true, invlpg: true }],
    ['ept vmx', { ts: false, wp: true, cr3: false, pge: false, smep: true, efer: true, invlpg: false }],
  ] as const)('%s', (kind, expected) => {
    expect(exits(kind)).toEqual(expected);
  });
});

describe('writes of guest tables, mmu.c:5135', () => {
  /** Frames 0x10 to 0x13 map `leaf` at 0x1000; the entry there is shadowed. */
  function shadowed(state: Partial<typeof LONG> = {}): Bench {
    const b = bench('shadow svm', state);
    const { memory } = b.vm;
    memory.write64(0x10000, 0x11067, 0);
    memory.write64(0x11000, 0x12067, 0);
    memory.write64(0x12000, 0x13067, 0);
    memory.write64(0x13008, 0x20067, 0);
    b.vcpu.enter();
    expect(b.vcpu.fault({ address: 0x1000, code: 4 })).toBe('retry');
    return b;
  }

  it('fill the entry again at once when page and context agree under the mask', () => {
    const b = shadowed();
    b.vm.memory.write64(0x13008, 0x21067, 0);
    b.vcpu.guestWrote(0x13008, 8);
    expect([b.vm.counters.mmu_pte_updated, b.vm.counters.zap_pages]).toEqual([1, 0]);
    const sp = b.vm.pages.firstOf(0x13);
    expect(b.vm.pages.entryLow(sp, 1) >>> 12).toBe(0x21);
  });

  it('only drop it when CR0.WP is another now', () => {
    const b = shadowed();
    b.vcpu.writeCr0((PAGED & ~CR0.WP) >>> 0);
    b.vcpu.enter();
    b.vcpu.guestWrote(0x13008, 8);
    expect(b.vm.counters.mmu_pte_updated).toBe(0);
    expect(b.vm.pages.entryLow(b.vm.pages.firstOf(0x13), 1)).toBe(0);
  });

  it('zap an upper table with the third in a row, but never a last-level one', () => {
    const b = shadowed();
    for (let i = 0; i < 5; i++) b.vcpu.guestWrote(0x13100, 8);
    expect(b.vm.counters.mmu_flooded).toBe(0);
    for (let i = 0; i < 3; i++) b.vcpu.guestWrote(0x12100, 8);
    expect([b.vm.counters.mmu_flooded, b.vm.pages.firstOf(0x12)]).toEqual([1, 0]);
  });

  it('without CR0.WP a kernel write maps a read-only user page for the kernel alone, no code under SMEP', () => {
    const b = bench('shadow svm', {
      cr0: (PAGED & ~CR0.WP) >>> 0,
      cr4: CR4.PAE | CR4.SMEP,
      efer: LONG.efer | EFER.NXE,
    });
    const { memory, pages } = b.vm;
    [0x11067, 0x12067, 0x13067].forEach((entry, i) => {
      memory.write64(0x10000 + 0x1000 * i, entry, 0);
    });
    memory.write64(0x13008, 0x20065, 0);
    b.vcpu.enter();
    expect(b.vcpu.fault({ address: 0x1000, code: 2 })).toBe('retry');
    const sp = pages.firstOf(0x13);
    expect(pages.entryLow(sp, 1) & 7).toBe(0b011);
    expect(pages.entryHigh(sp, 1) >>> 31).toBe(1);
  });
});

describe('SMM has guest memory of its own, kvm_memslots_for_spte_role', () => {
  it('tracks a table where it is shadowed', () => {
    const b = bench('shadow svm');
    b.vcpu.enter();
    const [ordinary, smm] = b.vm.addressSpaces;
    expect([ordinary.memslots.isTracked(0x10), smm.memslots.isTracked(0x10)]).toEqual([true, false]);
  });
});

describe('who reads which role', () => {
  it('notes the reads of a fault under the names that the C functions have', () => {
    const b = bench('shadow svm');
    b.vm.memory.write64(0x10000, 0x11067, 0);
    b.vcpu.enter();
    b.vcpu.fault({ address: 0x1000, code: 4 });
    const reads = b.vm.reads!.list().map(({ by, word, field }) => `${by} ${word}.${field}`);
    for (const read of [
      'kvm_mmu_get_page mmu_role.word',
      'kvm_mmu_get_page mmu.direct_map',
      'kvm_mmu_sync_roots mmu.root_level',
      'mmu_alloc_shadow_roots mmu.shadow_root_level',
      'account_shadowed page_role.level',
      'reset_shadow_zero_bits_mask mmu_role.smep_andnot_wp',
      'walk_addr_generic mmu.root_level',
      'walk_addr_generic mmu.guest_rsvd_check',
    ]) {
      expect(reads).toContain(read);
    }
    expect(reads.filter((read) => read.startsWith('kvm_calc_shadow_mmu_root_page_role'))).toEqual([]);
  });
});
