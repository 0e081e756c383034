// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { citationsOf, uncited } from '../../src/facts/citations.ts';
import { commentsOf } from '../../src/facts/comments.ts';
import { citedByPort, citedByUses, citedFunctions, eraRecord, pathsOf } from '../../src/facts/index.ts';
import { pathIn } from '../../src/facts/kernel-paths.ts';
import { citationOf } from '../../src/facts/port-citations.ts';
import { portFolders } from '../role/folders.ts';

/** The citations of a source text, each as one line. */
const cited = (source: string): string[] =>
  commentsOf(source).flatMap((comment) =>
    citationsOf(comment, 'f.ts').map(
      ({ at, revision, path, symbol, line, about }) =>
        `${at} ${revision} ${path} ${symbol ?? '-'}${line === null ? '' : ` ${about ? '~' : ''}${line}`}`,
    ),
  );

describe('citations in comments', () => {
  test.each([
    ['/** v5.17 mmu.c kvm_mmu_load */', ['f.ts:1 v5.17 mmu.c kvm_mmu_load']],
    ['/** v5.17 mmu.c:5083 kvm_mmu_load: builds roots. */', ['f.ts:1 v5.17 mmu.c kvm_mmu_load 5083']],
    ['/** v5.17 mmu.c kvm_mmu_load:5083, prose */', ['f.ts:1 v5.17 mmu.c kvm_mmu_load 5083']],
    ['/** v4.20 x86.c ~734 kvm_set_cr0. True: #GP. */', ['f.ts:1 v4.20 x86.c kvm_set_cr0 ~734']],
    ['/** v4.20 FNAME(fetch) paging */', []],
    ['/** FNAME(fetch) v4.20 paging_tmpl.h ~596 */', ['f.ts:1 v4.20 paging_tmpl.h fetch ~596']],
    [
      '/** v5.17 vmx/vmx.c enter_rmode, rmode_segment_valid: and so on */',
      ['f.ts:1 v5.17 vmx/vmx.c enter_rmode', 'f.ts:1 v5.17 vmx/vmx.c rmode_segment_valid'],
    ],
    [
      '/** v2.6.29 mmu.c kvm_mmu_put_page and mmu_page_remove_parent_pte:847. More. */',
      ['f.ts:1 v2.6.29 mmu.c kvm_mmu_put_page', 'f.ts:1 v2.6.29 mmu.c mmu_page_remove_parent_pte 847'],
    ],
    [
      '/** v4.20 vmx.c ~5330 get_ept_level, svm.c ~727 get_npt_level: four levels */',
      ['f.ts:1 v4.20 vmx.c get_ept_level ~5330', 'f.ts:1 v4.20 svm.c get_npt_level ~727'],
    ],
    ['/** v5.17 kvm_host.h struct kvm_mmu. Handlers by name. */', ['f.ts:1 v5.17 kvm_host.h kvm_mmu']],
    [
      '/**\n * Long text that goes on and on (a770f6f28b1a\n * mmu.c kvm_mmu_get_page:1192, the lines that build the role).\n */',
      ['f.ts:2 a770f6f28b1a mmu.c kvm_mmu_get_page 1192'],
    ],
    ['/** v5.17 x86.c: changes that make the CPU load PDPTEs anew */', ['f.ts:1 v5.17 x86.c -']],
    ['/** v5.17 mmu.c where it says so, and x86.c as far as it goes */', ['f.ts:1 v5.17 mmu.c -']],
    [
      '/** SMM entry (v5.17 arch/x86/kvm/x86.c) and RSM (v5.17 arch/x86/kvm/emulate.c) */',
      ['f.ts:1 v5.17 arch/x86/kvm/x86.c -', 'f.ts:1 v5.17 arch/x86/kvm/emulate.c -'],
    ],
    ['// v4.20 arch/x86/kvm/x86.h ~84-137\nconst x = 1;', ['f.ts:1 v4.20 arch/x86/kvm/x86.h - ~84']],
    ['/** v2.6.29 mmu.h:63 */\nexport const is_pae = 1;', ['f.ts:1 v2.6.29 mmu.h is_pae 63']],
    ['/** v2.6.29 mmu.c */\nexport function is_nx() {}', ['f.ts:1 v2.6.29 mmu.c is_nx']],
    ['/** Since v5.18 (e5ed0fb01004, v5.19) nothing of the kind. */', []],
    ['/** v2.6.29 kvm_host.h:234 */\nexport interface kvm_mmu {}', ['f.ts:1 v2.6.29 kvm_host.h kvm_mmu 234']],
    ['/** v4.20 x86.h ~84-137: three */', ['f.ts:1 v4.20 x86.h - ~84']],
    ["const text = 'v5.17 mmu.c kvm_mmu_load';", []],
  ])('%s', (source, expected) => {
    expect(cited(source)).toEqual(expected);
  });

  test('the line is that of the file', () => {
    expect(
      cited('\n\n/**\n * One.\n * v5.17 mmu.c kvm_mmu_load\n */\n// v5.17 x86.c\n// kvm_set_cr0: two lines\n'),
    ).toEqual(['f.ts:5 v5.17 mmu.c kvm_mmu_load', 'f.ts:7 v5.17 x86.c kvm_set_cr0']);
  });
});

/** Lines of a port, and what is left of them for any kernel. */
test.each([
  ['/** v5.17 mmu.c kvm_mmu_load */', '/**  mmu.c kvm_mmu_load */'],
  [' * Roots (e5ed0fb01004 mmu.c:4752-4760 f), bits 4:1.', ' * Roots ( mmu.c f), bits 4:1.'],
  ['/** v4.20 vmx.c ~5330 get_ept_level, svm.c ~727 g */', '/**  vmx.c get_ept_level, svm.c g */'],
  [
    '/** v5.17 mmu.c kvm_mmu_load:5083, kvm_mmu_unload:5112. Two:2 */',
    '/**  mmu.c kvm_mmu_load, kvm_mmu_unload. Two:2 */',
  ],
  [' * and x86.c:900 kvm_set_cr0', ' * and x86.c kvm_set_cr0'],
  ['/** FNAME(fetch) v4.20 paging_tmpl.h ~596 */', '/** FNAME(fetch)  paging_tmpl.h */'],
  [' * Since e5ed0fb01004 (v5.19) cr0_wp:1 is there.', ' * Since e5ed0fb01004 (v5.19) cr0_wp:1 is there.'],
])('%s is the same in every kernel but for its place', (line, expected) => {
  expect(uncited(line)).toBe(expected);
});

describe('what the comment of a declaration begins with', () => {
  const place = (comment: string, port: string, name = 'f') =>
    citationOf({ name, first: 1, last: 1, lines: [], comment }, port);

  test.each([
    ['v5.10.262 mmu.c:3831 is_root_usable: roots', '2020-12-v5.10', 'v5.10.262', 'arch/x86/kvm/mmu/mmu.c', 3831],
    ['a770f6f28b1a mmu.c init_kvm_tdp_mmu:2221', '2008-12-base-role', 'a770f6f28b1a', 'arch/x86/kvm/mmu.c', 2221],
    ['v4.20 x86.c kvm_set_cr0', '2018-12-v4.20', 'v4.20', 'arch/x86/kvm/x86.c', null],
    ['v4.20 x86.c ~734 kvm_set_cr0', '2018-12-v4.20', 'v4.20', 'arch/x86/kvm/x86.c', null],
    ['v6.1.192 svm/nested.c enter_svm_guest_mode', '2026-11-v6.1', 'v6.1.192', 'arch/x86/kvm/svm/nested.c', null],
    ['v5.19 kvm_host.h:12', '2022-07-v5.19', 'v5.19', 'arch/x86/include/asm/kvm_host.h', 12],
    ['v4.20 kvm_main.c kvm_make_all_cpus_request', '2018-12-v4.20', 'v4.20', 'virt/kvm/kvm_main.c', null],
    ['FNAME(fetch) v4.20 paging_tmpl.h:596', '2018-12-v4.20', 'v4.20', 'arch/x86/kvm/paging_tmpl.h', 596],
    ['v7.2.12 mmu.c f: bits 4:1 of the code', '2026-11-v7.2', 'v7.2.12', 'arch/x86/kvm/mmu/mmu.c', null],
  ])('%s', (comment, port, revision, path, line) => {
    expect(place(comment, port)).toEqual({ revision, path, line });
  });

  test('of several the one that it is called after', () => {
    expect(place('v5.10.262 x86.c:9 one_f, x86.h:7 f', '2020-12-v5.10')).toMatchObject({
      path: 'arch/x86/kvm/x86.h',
      line: 7,
    });
    expect(place('v5.10.262 x86.c:9 one_f, x86.h:7 f', '2020-12-v5.10', 'other')!.line).toBe(9);
  });

  test('none in prose', () => {
    expect(place('The guest is in v5.19 mmu.c here.', '2022-07-v5.19')).toBeNull();
    expect(place('v5.19 lines', '2022-07-v5.19')).toBeNull();
  });
});

describe('what the ports cite', () => {
  test.each(eras.map(({ id }) => id))('%s: functions of C files, and few files without', (id) => {
    const citations = citedByPort(eraRecord(id).snapshot!);
    expect(citations.length).toBeGreaterThan(100);
    const alone = citations.filter(({ symbol }) => symbol === null);
    expect(alone.length).toBeLessThan(citations.length / 5);
    for (const { symbol } of citations) expect(symbol ?? 'file').toMatch(/^\w+$/);
  });

  test('tables of uses name every function with its file', () => {
    const rows = citedByUses('cr0wp');
    expect(rows.length).toBeGreaterThan(50);
    expect(rows[0]).toMatchObject({
      at: 'commits/uses/cr0wp.json row 1',
      path: expect.stringMatching(/^arch\/x86\/kvm\//),
    });
    expect(new Set(citedByUses('no-unload-v2').map(({ revision }) => revision))).toEqual(
      new Set(['v5.17', 'no-unload-v2']),
    );
  });

  test.each(portFolders)('%s: its functions, and no number of the text for a line', (port) => {
    const functions = citedFunctions(port);
    expect(functions.size).toBeGreaterThan(90);
    expect(functions.get('kvm_mmu_reset_context')!.path).toMatch(/^arch\/x86\/kvm\/(mmu\/)?mmu\.c$/);
    for (const { line } of functions.values()) expect(line ?? 100).toBeGreaterThan(20);
  });

  test.each(eras.map(({ id }) => id))(
    '%s: a file stands where the table of uses has it, and verify looks for it',
    (id) => {
      const port = eraRecord(id).snapshot!;
      const whole = citedByUses(id).map(({ path }) => path);
      for (const cited of new Set(citedByPort(port).map(({ path }) => path))) {
        const path = pathIn(port, cited);
        const others = whole.filter((one) => one.endsWith(`/${cited}`));
        if (others.length > 0) expect(others).toContain(path);
        expect(pathsOf(cited)).toContain(path);
      }
    },
  );
});
