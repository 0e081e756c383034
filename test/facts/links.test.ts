// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import {
  bootlinUrl,
  diffLinks,
  eraDiffs,
  eraRecord,
  githubUrl,
  kernelPatchUrl,
  kernelUrl,
  links,
  loadFacts,
  loreUrl,
  sourceLinks,
  sourceUrl,
  usesTable,
} from '../../src/facts/index.ts';

const sha = 'e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518';

describe('links', () => {
  test('addresses', () => {
    expect(kernelUrl(sha)).toBe(`https://git.kernel.org/linus/${sha}`);
    expect(githubUrl(sha)).toBe(`https://github.com/torvalds/linux/commit/${sha}`);
    expect(loreUrl('20220414074000.31438-8-pbonzini@redhat.com')).toBe(
      'https://lore.kernel.org/kvm/20220414074000.31438-8-pbonzini@redhat.com/',
    );
    expect(sourceUrl(sha, 'arch/x86/kvm/mmu/mmu.c', 4752)).toBe(
      `https://github.com/torvalds/linux/blob/${sha}/arch/x86/kvm/mmu/mmu.c#L4752`,
    );
  });

  test('a slash inside a message-id is escaped', () => {
    expect(loreUrl('YhATewkkO/l4P9UN@google.com')).toBe('https://lore.kernel.org/kvm/YhATewkkO%2Fl4P9UN@google.com/');
  });

  test('a merged era: commit, patch, cover letter', () => {
    expect(links('cpu-role')).toEqual({
      era: 'cpu-role',
      links: [
        { title: 'commit e5ed0fb01004 on git.kernel.org', url: kernelUrl(sha) },
        { title: 'commit e5ed0fb01004 on GitHub', url: githubUrl(sha) },
        { title: 'patch mail', url: loreUrl('20220414074000.31438-8-pbonzini@redhat.com') },
        { title: 'cover letter', url: loreUrl('20220414074000.31438-1-pbonzini@redhat.com') },
      ],
      patches: [],
    });
  });

  test('a parent without a known sha leads to its child', () => {
    expect(links('role-union^').links[0]).toEqual({
      title: 'commit 36d9594dfbf2, whose parent this is, on git.kernel.org',
      url: 'https://git.kernel.org/linus/36d9594dfbf22a59adb986d85e0543886ab898f2',
    });
  });

  test('the proposed series: 18 patches, each with its mail, the landed ones with a commit', () => {
    const { patches } = links('no-unload-v2');
    expect(patches).toHaveLength(18);
    expect(patches[15]!.outcome).toBe('dropped');
    expect(patches[15]!.links[0]!.url).toBe(
      'https://lore.kernel.org/kvm/20220217210340.312449-17-pbonzini@redhat.com/',
    );
    expect(patches[8]!.outcome).toBe('landed, v5.18');
    expect(patches[8]!.links.at(-1)!.url).toBe(githubUrl('5499ea73e7db5113bb6f60c9122495ddcd900940'));
  });

  test('every era has links, and every address parses', () => {
    for (const { id } of loadFacts().eras) {
      const { links: own, patches } = links(id);
      expect(own.length).toBeGreaterThan(0);
      for (const { url } of [...own, ...patches.flatMap((patch) => patch.links)]) {
        expect(new URL(url).href).toBe(url);
      }
    }
  });

  test('a release leads to bootlin at the line; a stable one, which GitHub has not, to its tree without a line', () => {
    const file = 'arch/x86/kvm/mmu/mmu.c';
    expect(bootlinUrl('v5.10.262', file, 4452)).toBe(
      'https://elixir.bootlin.com/linux/v5.10.262/source/arch/x86/kvm/mmu/mmu.c#L4452',
    );
    expect(sourceLinks('v4.20', 'arch/x86/kvm/mmu.c', 4724)).toEqual([
      { title: 'bootlin', url: 'https://elixir.bootlin.com/linux/v4.20/source/arch/x86/kvm/mmu.c#L4724' },
      { title: 'GitHub', url: 'https://github.com/torvalds/linux/blob/v4.20/arch/x86/kvm/mmu.c#L4724' },
    ]);
    expect(sourceLinks('v2.6.29', 'arch/x86/kvm/mmu.c').map(({ title }) => title)).toEqual(['GitHub']);
    const stable = 'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tree';
    expect(sourceLinks('v6.1.192', file)).toEqual([{ title: 'git.kernel.org', url: `${stable}/${file}?h=v6.1.192` }]);
    expect(sourceLinks('v5.10.262', file, 12).map(({ url }) => url)).toEqual([
      bootlinUrl('v5.10.262', file, 12),
      `${stable}/${file}?h=v5.10.262#n12`,
    ]);
  });

  test('lines of v5.17 are those of a release candidate, so no link has one', () => {
    expect(sourceLinks('v5.17', 'arch/x86/kvm/mmu/mmu.c', 5037)).toEqual([
      { title: 'GitHub', url: 'https://github.com/torvalds/linux/blob/v5.17/arch/x86/kvm/mmu/mmu.c' },
    ]);
  });

  test('the diff of a commit, by its whole sha where twelve digits are given', () => {
    expect(diffLinks('e5ed0fb01004').map(({ url }) => url)).toEqual([kernelPatchUrl(sha), githubUrl(sha)]);
  });

  test('the diffs of an era: its commit, the one after it, milestones since the era before, what its story names', () => {
    const titles = (id: string): string[] => eraDiffs(eraRecord(id)).map(({ title }) => title);
    expect(titles('cr0wp')).toEqual(['patch', 'commit page']);
    expect(titles('role-union^')).toEqual(['patch after it', 'commit page after it']);
    expect(titles('v5.10')).toEqual(['patch de3ccd26fafc', 'patch 47c42e6b4192', 'patch 8053f924cad3']);
    expect(titles('v5.19')).toEqual(['patch 7a7ae8292391', 'patch faf729621c96', 'patch 84e5ffd045f3']);
    // The milestones of v6.4 are in 6.1.192 already.
    expect(titles('v6.12')).toEqual(['patch e40bcf9f3a18', 'patch 0e3223d8d00a', 'patch b299c273c06f']);
    for (const { id } of loadFacts().eras) expect(titles(id).length).toBeGreaterThan(0);
  });

  test('a stable era has the tag of its kernel in the stable tree', () => {
    expect(links('v6.1').links.at(-1)).toEqual({
      title: 'v6.1.192 in the stable tree',
      url: 'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tag/?h=v6.1.192',
    });
  });

  test('a row of uses leads to file and line', () => {
    const row = usesTable('cpu-role').rows.find((one) => one.function === 'kvm_mmu_new_pgd')!;
    expect(sourceUrl(row.source, row.file, row.line)).toBe(
      `https://github.com/torvalds/linux/blob/${sha}/arch/x86/kvm/mmu/mmu.c#L4239`,
    );
  });
});
