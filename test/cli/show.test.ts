// SPDX-License-Identifier: GPL-2.0-only
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { showCommand } from '../../src/cli/show.ts';
import { loadFacts } from '../../src/facts/index.ts';
import { runCommand } from './capture.ts';

const show = async (...argv: readonly string[]): Promise<string> => {
  const { stdout, code } = await runCommand(showCommand, argv);
  expect(code).toBe(0);
  return stdout;
};

// A synced cache of the developer's would add the kernel's own hunks.
beforeAll(() => void vi.stubEnv('XDG_CACHE_HOME', '/nowhere'));
afterAll(() => void vi.unstubAllEnvs());

describe('show', () => {
  test('text: story, stops, facts and links without Markdown marks, paragraphs at most 100 columns', async () => {
    const text = await show('e5ed0fb0');
    expect(text).toMatch(/^cpu-role: the guest's mode gets a role of its own \(April 2022\)\n={10,}\n\nWhy the commit/);
    expect(text).toContain('- subject: KVM: x86/mmu: split cpu_role from mmu_role\n');
    expect(text).toContain('- just before: cpu-role^\n');
    expect(text).toContain('- patch mail <https://lore.kernel.org/kvm/20220414074000.31438-8-pbonzini@redhat.com/>\n');
    expect(text).not.toMatch(/`|\]\(|^#/m);
    for (const line of text.split('\n').filter((one) => !/^[│┌├└]|^ {4}|https:\/\//.test(one))) {
      expect(line.length).toBeLessThanOrEqual(100);
    }
  });

  test('a stop: our words, the lines of the port with their place, the place upstream, the replay', async () => {
    const text = await show('cr0wp');
    const stop = text.slice(text.indexOf('1. Four lines'), text.indexOf('2. Why a set-up is enough'));
    expect(stop).toMatch(/^1\. Four lines\n\nWhen the write changes WP and nothing else/);
    expect(stop).toMatch(
      /Port: snapshots\/2023-03-cr0wp\/x86\.ts:\d+-\d+ kvm_post_set_cr0, against v5\.19\. It ports\n/,
    );
    expect(stop).toContain('    +  if (tdp_enabled(vcpu) && changed === CR0.WP) {\n');
    expect(stop).toContain('Upstream: commit 01b31714bd90 (git.kernel.org');
    expect(stop).toContain('Replay: mmu-eras replay wp-toggle --mmu npt --mmu-impl tdp-mmu --eras v5.19,cr0wp\n');
    expect(stop).toMatch(/│ mmu_load +│ 546 +│ 4 +│/);
  });

  test('the proposed series: status, numbers as a table, one entry a patch with whole addresses', async () => {
    const text = await show('no-unload-v2');
    expect(text).toContain('- status: proposed, never merged\n');
    expect(text).toMatch(/│ before │ 46754 +│ 5096 +│ 5150 +│/);
    expect(text).toContain('16. KVM: x86: introduce KVM_REQ_MMU_UPDATE_ROOT (dropped): patch mail\n');
    expect(text).toContain('https://lore.kernel.org/kvm/YhATewkkO%2Fl4P9UN@google.com/');
  });

  test('md, json and html say the same', async () => {
    const md = await show('cr0wp', '--format', 'md');
    expect(md).toMatch(/^# cr0wp: a CR0\.WP toggle keeps the roots \(March 2023\)\n/);
    expect(md).toContain('### 1. Four lines\n');
    expect(md).toContain('\n```diff\n function kvm_post_set_cr0');
    const model = JSON.parse(await show('cr0wp', '--format', 'json')) as { stops: { title: string }[] };
    expect(Object.keys(model)).toEqual(['era', 'toldIn', 'story', 'stops', 'links', 'patches']);
    expect(model.stops.map(({ title }) => title)).toEqual(
      [...md.matchAll(/^### \d+\. (.+)$/gm)].map(([, title]) => title),
    );
    const html = await show('cr0wp', '--format', 'html');
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">[\s\S]*<\/html>\n$/);
    expect(html).toContain('<title>cr0wp: a CR0.WP toggle keeps the roots (March 2023)</title>');
    expect(html).toContain('<span class=a>+  if (tdp_enabled(vcpu) &amp;&amp; changed === CR0.WP) {</span>');
    expect(html).not.toMatch(/<script|<link|<img|src=/);
    for (const { title } of model.stops) expect(html).toContain(title.replaceAll("'", '&#39;'));
  });

  test.each(loadFacts().eras.map(({ id }) => id))('%s has a page in every format', async (id) => {
    for (const format of ['text', 'md', 'html', 'json'])
      expect((await show(id, '--format', format)).length).toBeGreaterThan(5000);
  });

  test('a parent shows the story of its child, says so, and has its own facts', async () => {
    const text = await show('e5ed0fb0^');
    expect(text).toContain('- era: cpu-role^\n');
    expect(text).toMatch(/^cpu-role: /);
    expect(text).toContain('cpu-role^ is the code just before cpu-role and is told in its story.');
  });

  test('several eras are a mistake', async () => {
    await expect(runCommand(showCommand, ['all'])).rejects.toThrow(
      /^era: "all" names [0-9]+ eras: .*\n {2}expected: one era/,
    );
  });
});
