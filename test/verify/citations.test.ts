// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { loadFacts } from '../../src/facts/index.ts';
import { citationsOf } from '../../src/verify/citations.ts';
import { citedByPort, citedByUses } from '../../src/verify/cited.ts';
import { commentsOf } from '../../src/verify/comments.ts';

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

describe('what the ports cite', () => {
  const { eras: records } = loadFacts();

  test.each(eras.map(({ id }) => id))('%s: functions of C files, and few files without', (id) => {
    const citations = citedByPort(records.find((era) => era.id === id)!.snapshot!);
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
});
