// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { eraRecord, loadFacts } from '../../src/facts/index.ts';
import { verifyText } from '../../src/report/verify.ts';
import { exitOf, type Finding, type Verification } from '../../src/verify/model.ts';
import { type VerifyOptions, verify } from '../../src/verify/verify.ts';
import { commitsAsSaid, type FakeCommit, fakeSource, kernelOf } from './kernel.ts';

type Files = Record<string, Record<string, string>>;

const host = 'arch/x86/include/asm/kvm_host.h';
const sha = '01b31714bd90be2784f7145bf93b7f78f3d081e1';
const commits = commitsAsSaid();

/** One era of a made kernel, which `spoil` may change before it is read. */
async function check(id: string, spoil: (files: Files) => void = () => {}, options: Partial<VerifyOptions> = {}) {
  const files = structuredClone(kernelOf(id));
  spoil(files);
  const all = { eras: [eraRecord(id)], at: new Map<string, string>(), milestones: false, ...options };
  return await verify(fakeSource(files, commits), all);
}

const findings = ({ eras }: Verification): Finding[] => eras.flatMap((era) => [...era.findings]);
const differing = (found: Verification): string[] =>
  findings(found)
    .filter(({ outcome }) => outcome === 'differs')
    .map(({ what, differences }) => `${what}: ${differences.join('; ')}`);

/** Replaces text that must be there. */
function edit(files: Files, revision: string, path: string, from: string, to: string): void {
  expect(files[revision]?.[path]).toContain(from);
  files[revision]![path] = files[revision]![path]!.replace(from, to);
}

describe('a kernel where everything is as we say', () => {
  test.each(loadFacts().eras.map(({ id }) => id))('%s agrees', async (id) => {
    const found = await check(id);
    expect(differing(found)).toEqual([]);
    expect(exitOf(found)).toBe(0);
    const unchecked = findings(found).filter(({ outcome }) => outcome === 'unchecked');
    // What the series added is in no kernel.
    expect(unchecked.map(({ why }) => why!.slice(0, 29))).toEqual(
      id === 'no-unload-v2' ? Array(3).fill('no-unload-v2 was never merged') : [],
    );
    const kinds = new Set(findings(found).map(({ kind }) => kind));
    expect(kinds.has('layout') && kinds.has('citation')).toBe(true);
  });
});

describe('each kind of difference is found, and no other with it', () => {
  test('a width', async () => {
    const found = await check('cr0wp', (files) => edit(files, sha, host, 'unsigned access:3', 'unsigned access:4'));
    expect(differing(found)[0]).toMatch(
      /^union kvm_mmu_page_role: field 5: C has access in bits 8-11, we say access in bits 8-10; field 6: /,
    );
    expect(differing(found)).toHaveLength(1);
    expect(exitOf(found)).toBe(1);
  });

  test('an order', async () => {
    const found = await check('cr0wp', (files) =>
      edit(
        files,
        sha,
        host,
        'unsigned efer_nx:1;\n\t\tunsigned cr0_wp:1;',
        'unsigned cr0_wp:1;\n\t\tunsigned efer_nx:1;',
      ),
    );
    expect(differing(found)).toEqual([
      'union kvm_mmu_page_role: field 7: C has cr0_wp in bit 12, we say efer_nx in bit 12; field 8: C has efer_nx in bit 13, we say cr0_wp in bit 13',
    ]);
  });

  test('a name, in the extended half', async () => {
    const found = await check('cr0wp', (files) =>
      edit(files, sha, host, 'unsigned execonly:1', 'unsigned exec_only:1'),
    );
    expect(differing(found)).toEqual([
      'union kvm_mmu_extended_role: field 2: C has exec_only in bit 1, we say execonly in bit 1',
    ]);
  });

  test('the halves turned round', async () => {
    const found = await check('cr0wp', (files) =>
      edit(
        files,
        sha,
        host,
        'union kvm_mmu_page_role base; union kvm_mmu_extended_role ext;',
        'union kvm_mmu_extended_role ext; union kvm_mmu_page_role base;',
      ),
    );
    expect(differing(found)).toHaveLength(1);
    expect(differing(found)[0]).toMatch(/^union kvm_cpu_role: C has /);
  });

  test('a union that is gone', async () => {
    const found = await check('cr0wp', (files) =>
      edit(files, sha, host, 'union kvm_cpu_role {', 'union kvm_other_role {'),
    );
    expect(differing(found)).toEqual([`union kvm_mmu_role or kvm_cpu_role: ${host} has no such union`]);
  });

  test('a function that is missing', async () => {
    const found = await check('cr0wp', (files) =>
      edit(files, sha, 'arch/x86/kvm/mmu/mmu.c', 'static int kvm_init_shadow_mmu(', 'static int kvm_init_other_mmu('),
    );
    const lines = differing(found);
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines)
      expect(line).toMatch(
        /^kvm_init_shadow_mmu in .*mmu\.c.*: no kvm_init_shadow_mmu in arch\/x86\/kvm\/mmu\/mmu\.c$/,
      );
  });

  test('a function that is only declared', async () => {
    const found = await check('cr0wp', (files) =>
      edit(
        files,
        sha,
        'arch/x86/kvm/mmu/mmu.c',
        'static int kvm_init_shadow_mmu(void) { return 0; }',
        'static int kvm_init_shadow_mmu(void);',
      ),
    );
    expect(differing(found)[0]).toMatch(/: only a declaration of kvm_init_shadow_mmu in /);
  });

  test('a line that is not the function’s', async () => {
    const path = 'arch/x86/kvm/mmu/tdp_mmu.c';
    const found = await check('v5.17', (files) => {
      files['v5.17']![path] = `\n${files['v5.17']![path]}`;
    });
    expect(differing(found)).toContain(
      `page_role_for_level in tdp_mmu.c, line 160: page_role_for_level is at ${path}:161, we say line 160`,
    );
    // Functions cited without a line do not mind.
    expect(differing(found).every((line) => /, line \d+: /.test(line))).toBe(true);
  });

  test('a file that is missing', async () => {
    const found = await check('cr0wp', (files) => {
      delete files[sha]!['arch/x86/kvm/mmu/page_track.c'];
    });
    expect(differing(found)).toContain('kvm_slot_page_track_add_page in page_track.c: there is no file page_track.c');
  });

  test.each([
    [
      'subject',
      { subject: 'KVM: x86: Another subject' },
      /^commit 01b31714bd90: subject is "KVM: x86: Another subject", we say "KVM: x86: Do not unload/,
    ],
    ['author', { author: 'Ada Beispiel' }, /^commit 01b31714bd90: author is "Ada Beispiel", we say "Mathias Krause"$/],
    [
      'date',
      { authorDate: '2023-04-01T10:00:00+02:00' },
      /^commit 01b31714bd90: author date is 2023-04-01, we say 2023-03-22 \(mail Date header\)$/,
    ],
  ] as const)('the %s of the commit', async (_what, change, expected) => {
    const spoilt: Record<string, FakeCommit> = { ...commits, [sha]: { ...commits[sha]!, ...change } };
    const source = fakeSource(kernelOf('cr0wp'), spoilt);
    const found = await verify(source, { eras: [eraRecord('cr0wp')], at: new Map(), milestones: false });
    expect(differing(found)).toHaveLength(1);
    expect(differing(found)[0]).toMatch(expected);
  });

  test('a patch may be older than its mail', async () => {
    const early = { ...commits, [sha]: { ...commits[sha]!, authorDate: '2023-02-01T23:59:59-08:00' } };
    const source = fakeSource(kernelOf('cr0wp'), early);
    const found = await verify(source, { eras: [eraRecord('cr0wp')], at: new Map(), milestones: false });
    expect(differing(found)).toEqual([]);
  });
});

describe('what cannot be checked', () => {
  test('a commit that is missing, with the command that gets it', async () => {
    const found = await verify(fakeSource({}), { eras: [eraRecord('cr0wp')], at: new Map(), milestones: false });
    expect(exitOf(found)).toBe(2);
    expect(findings(found).every(({ outcome }) => outcome === 'unchecked')).toBe(true);
    const text = verifyText(found);
    expect(text).toContain(`\nno commit ${sha}: `);
    expect(text).toContain(`\n    git fetch ${sha}\n`);
    expect(text).toMatch(/\n0 agreed, 0 differs, \d{3} could not check\n$/);
  });

  test('a union with a width that is a macro', async () => {
    const found = await check('cr0wp', (files) =>
      edit(files, sha, host, 'unsigned access:3', 'unsigned access:ACCESS_BITS'),
    );
    const doubted = findings(found).filter(({ outcome }) => outcome === 'unchecked');
    expect(doubted.map(({ what, why }) => `${what}: ${why}`)).toEqual([
      expect.stringMatching(/^union kvm_mmu_page_role: .*kvm_host\.h, line \d+: the width "ACCESS_BITS" is no number$/),
    ]);
    expect(exitOf(found)).toBe(0);
  });

  test('two unions of one name', async () => {
    const found = await check('cr0wp', (files) => {
      files[sha]![host] += 'union kvm_mmu_page_role { u32 word; };\n';
    });
    expect(findings(found).find(({ outcome }) => outcome === 'unchecked')?.why).toBe(
      `${host} has 2 unions of that name`,
    );
  });
});

describe('--at', () => {
  const moved = (files: Files): void => {
    files.import = files[sha]!;
    delete files[sha];
  };

  test('reads another revision, and leaves the commit aside', async () => {
    const found = await check('cr0wp', moved, { at: new Map([['cr0wp', 'import']]) });
    expect(differing(found)).toEqual([]);
    expect(
      findings(found)
        .filter(({ outcome }) => outcome === 'unchecked')
        .map(({ why }) => why),
    ).toEqual(['import stands for it (--at), which need not have its message']);
    expect(found.eras[0]!.at).toBe('import');
  });

  test('other lines are no difference there, a missing function is', async () => {
    const found = await check(
      'cr0wp',
      (files) => {
        moved(files);
        const path = 'arch/x86/kvm/mmu/mmu.c';
        edit(files, 'import', path, 'static int kvm_init_mmu(', 'static int kvm_init_mmu_of_ours(');
        files.import![path] = `\n${files.import![path]}`;
      },
      { at: new Map([['cr0wp', 'import']]) },
    );
    expect(differing(found).length).toBeGreaterThan(0);
    for (const line of differing(found)) expect(line).toContain(': no kvm_init_mmu in ');
    expect(findings(found).some(({ why }) => why === 'the lines of import (--at) are others')).toBe(true);
  });

  test('a branch with the series is read for what the series added', async () => {
    const at = new Map([['no-unload-v2', 'topic/series']]);
    const { eras } = await verify(fakeSource({}), {
      eras: [eraRecord('no-unload-v2'), eraRecord('v5.17')],
      at,
      milestones: false,
    });
    expect(new Set(eras[0]!.findings.map(({ revision }) => revision))).toEqual(new Set(['topic/series']));
    expect(new Set(eras[1]!.findings.map(({ revision }) => revision))).toEqual(new Set(['v5.17']));
  });

  test('an era that another one cites is read where it is', async () => {
    const at = new Map([['v4.20', 'import']]);
    const { eras } = await verify(fakeSource({}), { eras: [eraRecord('role-union')], at, milestones: false });
    const revisions = new Set(eras[0]!.findings.map(({ revision }) => revision));
    expect(revisions).toContain('import');
    expect(revisions).not.toContain('v4.20');
  });
});

describe('milestones', () => {
  test('every commit of the facts is looked at, and a wrong author is found', async () => {
    const spoilt = { ...commits, cea0f0e7ea54: { ...commits.cea0f0e7ea54!, author: 'Ada Beispiel' } };
    const found = await verify(fakeSource({}, spoilt), { eras: [], at: new Map(), milestones: true });
    expect(found.eras.map(({ era }) => era)).toEqual(['milestones']);
    const wrong = findings(found).filter(({ outcome }) => outcome === 'differs');
    expect(new Set(wrong.map(({ what }) => what))).toEqual(new Set(['commit cea0f0e7ea54']));
    const shas = new Set(findings(found).map(({ revision }) => revision));
    for (const { sha: one } of loadFacts().milestones.milestones) expect(shas).toContain(one);
    for (const { landed } of loadFacts().noUnloadV2.patches) if (landed) expect(shas).toContain(landed.sha);
  });
});
