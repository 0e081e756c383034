// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { abiOf, offsetOf } from '../../src/record/kernel/abi.ts';
import { Btf } from '../../src/record/kernel/btf.ts';
import { findSymbols, probesFor } from '../../src/record/kernel/probes.ts';
import { btfBytes, stringBytesOf } from './btf-bytes.ts';
import { recordedAbi } from './recorded.ts';

/** Types of a kernel: 1 u32's int, 2 u32, 3 int of 8 bytes, 4 an enum (to be stepped over), 5 a struct that the module's has too. */
const kernelTypes = btfBytes([
  { kind: 'int', name: 'unsigned int', bytes: 4 },
  { kind: 'typedef', name: 'u32', type: 1 },
  { kind: 'int', name: 'long unsigned int', bytes: 8 },
  { kind: 'enum', name: 'colour', values: ['RED', 'GREEN'] },
  { kind: 'struct', name: 'kvm_vcpu', bytes: 8, members: [['nothing', 3, 0]] },
  { kind: 'pointer', type: 5 },
]);

/** Types of its kvm module, ids from 7 on. */
const moduleTypes = btfBytes(
  [
    // 7: the bit-fields of a role, with a gap of five bits.
    {
      kind: 'struct',
      name: '',
      bytes: 4,
      members: [
        ['level', 1, 0, 4],
        ['direct', 1, 7, 1],
        ['smm', 1, 13, 8],
      ],
    },
    // 8
    {
      kind: 'union',
      name: 'kvm_mmu_page_role',
      bytes: 4,
      members: [
        ['word', 2, 0],
        ['', 7, 0],
      ],
    },
    // 9: a root.
    {
      kind: 'struct',
      name: 'kvm_mmu_root_info',
      bytes: 16,
      members: [
        ['pgd', 3, 0],
        ['hpa', 3, 64],
      ],
    },
    { kind: 'array', type: 9, count: 3 },
    { kind: 'const', type: 8 },
    // 12: an MMU: a pointer, the current root, the role behind a const, three roots.
    {
      kind: 'struct',
      name: 'kvm_mmu',
      bytes: 80,
      members: [
        ['page_fault', 6, 0],
        ['root', 9, 64],
        ['root_role', 11, 192],
        ['prev_roots', 10, 256],
      ],
    },
    // 13: an anonymous union inside the vCPU's arch.
    {
      kind: 'union',
      name: '',
      bytes: 8,
      members: [['mmu', 6, 0]],
    },
    {
      kind: 'struct',
      name: 'kvm_vcpu_arch',
      bytes: 104,
      members: [
        ['regs', 3, 0],
        ['', 13, 128],
        ['root_mmu', 12, 192],
      ],
    },
    {
      kind: 'struct',
      name: 'kvm_vcpu',
      bytes: 200,
      members: [
        ['vcpu_id', 1, 0],
        ['arch', 14, 512],
      ],
    },
  ],
  stringBytesOf(kernelTypes),
);
const kernel = new Btf(kernelTypes);
const module = new Btf(moduleTypes, kernel);

test('offsets through members, arrays and anonymous unions, counted by hand', () => {
  expect(offsetOf(module, 'kvm_mmu', 'root.hpa')).toBe(8 + 8);
  expect(offsetOf(module, 'kvm_mmu', 'prev_roots[2].hpa')).toBe(32 + 2 * 16 + 8);
  // arch at 64, the anonymous union at 16 in it.
  expect(offsetOf(module, 'kvm_vcpu', 'arch.mmu')).toBe(80);
  expect(offsetOf(module, 'kvm_vcpu', 'arch.root_mmu')).toBe(88);
  expect(offsetOf(module, 'kvm_mmu', 'cpu_role')).toBeUndefined();
  expect(offsetOf(module, 'kvm_mmu', 'root_role[1]')).toBeUndefined();
  expect(offsetOf(module, 'kvm_pagewalk', 'cpu_role')).toBeUndefined();
});

test("the module's struct counts before the kernel's of the same name", () => {
  expect(offsetOf(kernel, 'kvm_vcpu', 'nothing')).toBe(0);
  expect(offsetOf(module, 'kvm_vcpu', 'nothing')).toBeUndefined();
});

test('what probes and counts need, with the role in C', () => {
  const abi = abiOf(module);
  expect(abi.offsets).toEqual({
    'vcpu.mmu': 80,
    'vcpu.root_mmu': 88,
    'mmu.root.hpa': 16,
    'mmu.root.pgd': 8,
    'mmu.root_role': 24,
    'mmu.prev_roots[0].pgd': 32,
    'mmu.prev_roots[0].hpa': 40,
    'mmu.prev_roots[1].pgd': 48,
    'mmu.prev_roots[1].hpa': 56,
    'mmu.prev_roots[2].pgd': 64,
    'mmu.prev_roots[2].hpa': 72,
  });
  expect(abi.base).toEqual([
    { name: 'level', shift: 0, width: 4 },
    { name: 'direct', shift: 7, width: 1 },
    { name: 'smm', shift: 13, width: 8 },
  ]);
  expect(abi.extended).toEqual([]);
  expect(abi.layouts).toEqual({
    'union kvm_mmu_page_role': [
      'union kvm_mmu_page_role {',
      '\tu32 word;',
      '\tstruct {',
      '\t\tunsigned int level: 4;',
      '\t\tunsigned int: 3;',
      '\t\tunsigned int direct: 1;',
      '\t\tunsigned int: 5;',
      '\t\tunsigned int smm: 8;',
      '\t};',
      '};',
    ].join('\n'),
  });
});

test('types without KVM, and no types', () => {
  expect(() => abiOf(kernel)).toThrow('BTF of the kernel: no struct kvm_vcpu with an MMU');
  expect(() => new Btf(Buffer.from('hello, this is no section'))).toThrow('no BTF');
});

describe('probes', () => {
  /** Lines of /proc/kallsyms. */
  const symbols = (text: string) => findSymbols(text.trim().replace(/^/gm, 'ffffffffc0000000 '));

  test('functions of modules, of the kernel itself, and under the names that compilers give', () => {
    const found = symbols(
      't kvm_mmu_load\t[kvm]\nT kvm_init_mmu\nt mmu_alloc_root.isra.0\t[kvm]\nd kvm_set_cr3\t[kvm]\nt kvm_set_cr4.cold\t[kvm]',
    );
    expect([...found]).toEqual([
      ['kvm_mmu_load', { symbol: 'kvm_mmu_load', module: 'kvm' }],
      ['kvm_init_mmu', { symbol: 'kvm_init_mmu', module: null }],
      ['mmu_alloc_root', { symbol: 'mmu_alloc_root.isra.0', module: 'kvm' }],
    ]);
  });

  const text = 't kvm_mmu_free_roots\t[kvm]\nt kvm_invalidate_pcid\t[kvm]\nt svm_vcpu_run\t[kvm_amd]\nt kvm_init_mmu';
  const linesFor = (release: string) => probesFor(recordedAbi(release), symbols(text)).kprobes;

  // The definitions that those recordings were made with, probes.txt beside them, but for the group's name.
  test('Linux 6.1: two words, cached roots', () => {
    const mmu = 'mmu=+672(%di):x64 hpa=+64(+672(%di)):x64 pgd=+56(+672(%di)):x64 root_role=+80(+672(%di)):x32';
    const roots = [88, 96, 104, 112, 120, 128].map((n, i) => `prev${i % 2 ? 'h' : ''}${i >> 1}=+${n}(+672(%di)):x64`);
    expect(linesFor('6.1.0-56-amd64')).toEqual([
      'p:mmu_eras/kvm_mmu_free_roots kvm:kvm_mmu_free_roots roots=%dx:x64 mmu=%si:x64 hpa=+64(%si):x64 pgd=+56(%si):x64 ' +
        'root_role=+80(%si):x32 cpu_role=+72(%si):x64',
      `p:mmu_eras/kvm_init_mmu kvm_init_mmu vcpu=%di:x64 ${mmu} cpu_role=+72(+672(%di)):x64`,
      `p:mmu_eras/svm_vcpu_run kvm_amd:svm_vcpu_run vcpu=%di:x64 ${mmu} cpu_role=+72(+672(%di)):x64 ${roots.join(' ')}`,
    ]);
  });

  test('Linux 5.10: one word of 64 bits', () => {
    const line = linesFor('5.10.0-46-amd64')[1];
    expect(line).toMatch(/mmu_role=\+\d+\(\+\d+\(%di\)\):x64/);
    expect(line).not.toMatch(/cpu_role|root_role/);
  });

  test('Linux 7.3: cpu_role through the walker', () => {
    expect(linesFor('7.3.4+deb13-amd64')[1]).toContain(' cpu_role=+32(+16(+672(%di))):x64');
  });

  test('INVPCID is counted on Intel only, and what is not there is listed', () => {
    const { missing, unseen } = probesFor(recordedAbi('6.1.0-56-amd64'), symbols(text));
    expect(missing).toEqual(
      expect.arrayContaining(['vmx_vcpu_run', 'kvm_handle_invpcid', 'svm_set_efer', 'kvm_set_cr0']),
    );
    // svm_vcpu_run is there; nothing stands in for the others.
    expect(unseen).toEqual(expect.arrayContaining(['svm_set_efer', 'kvm_set_cr0']));
    expect(unseen).not.toContain('vmx_vcpu_run');
    expect(unseen).not.toContain('kvm_handle_invpcid');
    expect(() => probesFor(recordedAbi('6.1.0-56-amd64'), symbols('t kvm_mmu_load'))).toThrow('no svm_vcpu_run and no');
    const intel = symbols('t kvm_invalidate_pcid\t[kvm]\nt vmx_vcpu_run\t[kvm_intel]');
    const names = probesFor(recordedAbi('6.1.0-56-amd64'), intel).kprobes.map((line) => line.split(' ')[0]);
    expect(names).toEqual(['p:mmu_eras/kvm_invalidate_pcid', 'p:mmu_eras/vmx_vcpu_run']);
  });
});
