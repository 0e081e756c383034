// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { citedByPort } from '../../src/facts/index.ts';
import { filesOf, portFolders, revisions, snapshots } from '../role/folders.ts';

/** What every port must look like, so that a plain diff of two folders is a lesson. */

/** Files of every port. */
const required = [
  'calc.ts',
  'index.ts',
  'mmu_fault.ts',
  'mmu_pages.ts',
  'mmu_roots.ts',
  'paging_tmpl.ts',
  'role.ts',
  'trace.ts',
  'types.ts',
  'vectors.ts',
  'x86.ts',
];

/** Files that only some kernels need, or that split a long one. `vectors_*.ts` are parts of vectors.ts. */
const optional = [
  'guest_walker.ts',
  'kvm_x86_ops.ts',
  'masks.ts',
  'mmu_handlers.ts',
  'mmu_rmap.ts',
  'mmu_sync.ts',
  'mmu_write.ts',
  'nested_svm.ts',
  'nested_vmx.ts',
  'paging_tmpl_fetch.ts',
  'shadow_walk.ts',
  'smm.ts',
  'spte.ts',
  'spte_format.ts',
  'tdp_mmu.ts',
  'tlb.ts',
  'x86_pdptr.ts',
];
const belongs = (file: string): boolean =>
  required.includes(file) || optional.includes(file) || /^vectors_[a-z]+\.ts$/.test(file);

/** Folders in which KVM's C files of the x86 side stand. */
const kernelFolders = [
  '',
  'arch/x86/kvm/',
  'arch/x86/kvm/mmu/',
  'arch/x86/kvm/vmx/',
  'arch/x86/kvm/svm/',
  'arch/x86/include/asm/',
  'virt/kvm/',
  'include/linux/',
  'vmx/',
  'svm/',
  'mmu/',
  'asm/',
];

const textOf = (port: string, file: string): string => readFileSync(join(snapshots, port, file), 'utf8');
const portFiles = portFolders.flatMap((port) => filesOf(port).map((file) => ({ port, file })));

/** Names of top-level functions in the order of the file. */
function functionsOf(text: string): string[] {
  const declaration =
    /^(?:export )?(?:function (\w+)|const (\w+)(?:: [^=]+)? = (?:probe\(|\([^)]*\)(?:: [^=]+)? =>))/gm;
  return [...text.matchAll(declaration)].map(([, named, assigned]) => (named ?? assigned)!);
}

it('there are ports', () => {
  expect(portFolders.length).toBeGreaterThanOrEqual(8);
  expect(portFolders.filter((port) => !(port in revisions))).toEqual([]);
});

describe.each(portFolders)('%s', (port) => {
  it('has the files of a port and no others', () => {
    const files = filesOf(port);
    expect(required.filter((file) => !files.includes(file))).toEqual([]);
    expect(files.filter((file) => !belongs(file))).toEqual([]);
  });

  it('imports no other port', () => {
    const foreign = filesOf(port).flatMap((file) =>
      [...textOf(port, file).matchAll(/(?:from|import\() ?'([^']+)'/g)]
        .map(([, from]) => from!)
        .filter((from) => !/^(\.\/[\w-]+\.ts|\.\.\/\.\.\/src\/(era|role\/|sim\/)[\w/.-]*)$/.test(from))
        .map((from) => `${file}: ${from}`),
    );
    expect(foreign).toEqual([]);
  });

  it('cites its own kernel, and files as the kernel has them', () => {
    const cited = citedByPort(port);
    const wrong = cited.filter(
      ({ revision, path }) =>
        !(revisions[port] ?? []).includes(revision) ||
        !kernelFolders.includes(path.slice(0, path.lastIndexOf('/') + 1)),
    );
    expect(wrong.map(({ at, revision, path }) => `${at}: ${revision} ${path}`)).toEqual([]);
    expect(cited.length).toBeGreaterThan(50);
  });

  it('says of every file that ports a C file which one, and of every exported function where it stands', () => {
    const silent: string[] = [];
    for (const file of filesOf(port).filter((name) => !/^(index|vectors|types)/.test(name))) {
      const text = textOf(port, file);
      for (const match of text.matchAll(/^export function (\w+)/gm)) {
        const before = text.slice(0, match.index).trimEnd();
        if (!before.endsWith('*/')) silent.push(`${file}: ${match[1]} has no doc comment`);
      }
      if (!text.startsWith('// SPDX-License-Identifier: GPL-2.0-only\n')) silent.push(`${file}: no SPDX line`);
    }
    expect(silent).toEqual([]);
  });
});

describe('neighbours', () => {
  const pairs = portFolders.slice(1).map((later, i) => ({ earlier: portFolders[i]!, later }));

  it.each(pairs)('$earlier, $later: what exists in both keeps its place in the file', ({ earlier, later }) => {
    const moved: string[] = [];
    for (const file of filesOf(earlier).filter((name) => filesOf(later).includes(name))) {
      const first = functionsOf(textOf(earlier, file));
      const second = functionsOf(textOf(later, file));
      const before = first.filter((name) => second.includes(name));
      const after = second.filter((name) => first.includes(name));
      const at = before.findIndex((name, i) => name !== after[i]);
      if (at >= 0) moved.push(`${file}: ${before[at]} stands where ${after[at]} was`);
    }
    expect(moved).toEqual([]);
  });

  it('the ports of 2022 and later have the same files', () => {
    const modern = portFolders.filter((port) => port >= '2022');
    for (const port of modern) expect(filesOf(port)).toEqual(filesOf(modern[0]!));
  });

  it('sees functions in every port', () => {
    for (const port of portFolders) {
      const names = filesOf(port).flatMap((file) => functionsOf(textOf(port, file)));
      expect(names.length).toBeGreaterThan(60);
      expect(names).toContain('kvm_mmu_get_page'.replace('get_page', port >= '2023' ? 'child_role' : 'get_page'));
    }
    expect(portFiles.length).toBeGreaterThan(portFolders.length * required.length);
  });
});
