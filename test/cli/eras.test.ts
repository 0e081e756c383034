// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, test } from 'vitest';
import { erasCommand } from '../../src/cli/eras.ts';
import { linksCommand } from '../../src/cli/links.ts';
import { loadFacts } from '../../src/facts/index.ts';
import { runCommand } from './capture.ts';

describe('eras', () => {
  test('text: one row an era, the proposed one says so', async () => {
    const { stdout, code } = await runCommand(erasCommand, []);
    expect(code).toBe(0);
    for (const { id } of loadFacts().eras) expect(stdout).toContain(`│ ${id} `);
    expect(stdout).toMatch(/│ cpu-role +│ e5ed0fb01004 +│ 2022-04-14 │ v5\.19 +│ merged +│/);
    expect(stdout).toMatch(/│ no-unload-v2 │ +│ 2022-02-17 │ +│ proposed, never merged │/);
    expect(stdout).toMatch(/│ base-role\^ +│ a770f6f28b1a\^ │/);
  });

  test('json is the data; csv and Markdown have the columns of the table', async () => {
    const { stdout: json } = await runCommand(erasCommand, ['--format', 'json']);
    expect(JSON.parse(json)).toEqual({ eras: loadFacts().eras });
    const { stdout: csv } = await runCommand(erasCommand, ['--format', 'csv']);
    expect(csv.split('\n')[0]).toBe('era,anchor,date,releases,status,summary');
    expect(csv).toContain('"proposed, never merged"');
    const { stdout: md } = await runCommand(erasCommand, ['--format', 'md']);
    expect(md.split('\n')[0]).toBe('| era | anchor | date | releases | status | summary |');
  });
});

describe('links', () => {
  test('without arguments every era has its links', async () => {
    const { stdout, code } = await runCommand(linksCommand, []);
    expect(code).toBe(0);
    for (const { id } of loadFacts().eras) expect(stdout).toContain(`${id}: `);
    expect(stdout).toContain(
      '  commit 01b31714bd90 on git.kernel.org <https://git.kernel.org/linus/01b31714bd90be2784f7145bf93b7f78f3d081e1>',
    );
  });

  test('patch by patch, in every format', async () => {
    const { stdout: text } = await runCommand(linksCommand, ['no-unload-v2']);
    expect(text).toContain(
      '   9  KVM: x86/mmu: look for a cached PGD when going from 32-bit to 64-bit (landed, v5.18)\n',
    );
    const { stdout: csv } = await runCommand(linksCommand, ['no-unload-v2', '--format', 'csv']);
    expect(csv).toContain(
      'no-unload-v2,18,dropped,patch mail,https://lore.kernel.org/kvm/20220217210340.312449-19-pbonzini@redhat.com/\n',
    );
    const { stdout: md } = await runCommand(linksCommand, ['cpu-role', 'cr0wp', '--format', 'md']);
    expect(md.match(/^## /gm)).toHaveLength(2);
    const { stdout: json } = await runCommand(linksCommand, ['v5.17', '--format', 'json']);
    expect(JSON.parse(json)).toMatchObject({ eras: [{ era: 'v5.17', patches: [] }] });
  });
});
