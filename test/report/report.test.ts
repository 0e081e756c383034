// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import { reportFiles } from '../../src/report/bundle.ts';
import { entryState, modelOf, record, toggles, writeEffect } from './fixtures.ts';

const files = await reportFiles(modelOf(toggles()), []);
const page = files.get('index.html')!;
const markdown = files.get('report.md')!;

/** Text of the page between tags, white space as one blank. */
const textOf = (html: string): string =>
  html
    .replace(/<style>.*?<\/style>/gs, '')
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&gt;', '>')
    .replace(/\s+/g, ' ');

it('writes the page, the Markdown, the model and every chart that they name', () => {
  const charts = [...markdown.matchAll(/\]\((charts\/[^)]+\.svg)\)/g)].map(([, file]) => file!);
  expect([...files.keys()].sort()).toEqual(['index.html', 'report.json', 'report.md', ...new Set(charts)].sort());
  expect(charts.length).toBe(4);
});

it('the summary says figures, what is not there, and what differs from the era before', () => {
  expect(markdown).toContain('| base-role | nothing | not in this era |');
  // The era before has no such MMU, so there is nothing to differ from.
  expect(markdown).toContain('| v5.17 | base-role | 543 / 542 |');
  expect(markdown).toContain('| no-unload-v2 (proposed, never merged) | v5.17 | **3** / **0** |');
  // cpu-role follows the merged v5.17, not the series that was never merged.
  expect(markdown).toContain('| cpu-role | v5.17 | 543 / 542 |');
  expect(markdown).toContain('| cr0wp | cpu-role | **1** / **0** |');
  expect(textOf(page)).toContain('Each of the two is bold where it differs from that of the era named under against');
});

it('of two figures only the one that differs is bold, and a cell that is compared with another era says so', async () => {
  const mode = 'npt-tdp-mmu';
  const of = (era: string, mmu_load: number, full_unloads: number) =>
    record(era, mode, { figures: { kvm: { mmu_load, full_unloads } } });
  const lacking = { workload: 'wp', era: 'v5.17', mode, unavailable: 'not on this host' };
  const report = await reportFiles(
    modelOf([of('base-role', 5, 8), lacking, of('cpu-role', 5, 6), of('cr0wp', 4, 6)]),
    [],
  );
  const rows = report
    .get('report.md')!
    .split('\n')
    .filter((line) => line.startsWith('| '));
  expect(rows).toContain('| cpu-role | v5.17 | 5 / **6** (against base-role) |');
  expect(rows).toContain('| cr0wp | cpu-role | **4** / 6 |');
  const html = report.get('index.html')!;
  expect(html).toContain('<td class=s><strong>4</strong> / 6');
  expect(html).toContain('5 / <strong>6</strong> (against base-role)');
});

it('the overview of several workloads names in its head what a column is compared with', async () => {
  const model = modelOf(toggles());
  const [workload] = model.workloads;
  const report = await reportFiles({ ...model, workloads: [workload!, { ...workload!, name: 'other' }] }, []);
  expect(report.get('report.md')).toContain(
    '| workload | MMU | base-role | v5.17 *against base-role* | no-unload-v2 (proposed) *against v5.17* | cpu-role *against v5.17* | cr0wp *against cpu-role* |',
  );
});

it('each register write tells what it led to, and why roots were kept', () => {
  const rows = markdown.split('\n').filter((line) => line.startsWith('| 542 | CR0.WP |'));
  expect(rows).toEqual([
    '| 542 | CR0.WP | root load before the next entry | v5.17, cpu-role | `kvm_mmu_reset_context` › `kvm_mmu_unload` › `kvm_init_mmu` › `kvm_mmu_load` |',
    '| 542 | CR0.WP | no root load | no-unload-v2 (proposed) | `kvm_mmu_reset_context` › `kvm_init_mmu` › `kvm_mmu_update_root` |',
    '| 542 | CR0.WP | no root load | cr0wp | `kvm_init_mmu` |',
  ]);
  expect(markdown).toContain('| 3 | CR3 | no exit: KVM did not see it | v5.17, cpu-role |  |');
});

it('root loads name function, bits, line and chain', () => {
  expect(markdown).toContain(
    '| 542 | `kvm_post_set_cr0` | CR0.WP | v5.17, cpu-role | 23 `cr0 -WP` | `kvm_set_cr0` › `kvm_mmu_reset_context` › `kvm_mmu_unload` | toggle |',
  );
});

it('roles are decoded with the layout of their era', () => {
  // v5.17 kvm_host.h: level 0-3, direct 7, access 8-10, efer_nx 12, cr0_wp 13; extended cr0_pg 2, cr4_pae 3, efer_lma 9.
  // 4 + 0x80 + 0x700 + 0x1000 + 0x2000 = 0x3784; 1 + 4 + 8 + 0x200 = 0x20d.
  expect(markdown).toContain(
    '`mmu_role` `0x20d00003784` level=4 direct access=7 efer_nx cr0_wp ext.valid ext.cr0_pg ext.cr4_pae ext.efer_lma |',
  );
  // v6.4: cr0_pg and cr4_pae left the extended role, efer_lma moved to bit 7: 1 + 0x80 = 0x81. The root role is 32 bits.
  expect(markdown).toContain(
    '`cpu_role` `0x8100003784` level=4 direct access=7 efer_nx cr0_wp ext.valid ext.efer_lma; ',
  );
  expect(markdown).toContain('`root_role` `0x784` level=4 direct access=7 |');
});

it('says what was not replayed as written', () => {
  expect(markdown).toContain('- base-role: not in this era: npt with the tdp-mmu MMU');
  expect(markdown).toContain('- cr0wp: line 40, 2 times: not in this era: nested-svm `vmrun vm body`');
});

it('every era leads to its commit, its mails and its diff, and tells its story', () => {
  const sha = 'e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518';
  for (const face of [markdown, page]) {
    expect(face).toContain(`https://git.kernel.org/linus/${sha}`);
    expect(face).toContain(`https://github.com/torvalds/linux/commit/${sha}`);
    expect(face).toContain(`https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/patch/?id=${sha}`);
    expect(face).toContain('https://lore.kernel.org/kvm/20220414074000.31438-8-pbonzini@redhat.com/');
    expect(face).toContain('https://lore.kernel.org/kvm/20220217210340.312449-1-pbonzini@redhat.com/');
  }
  expect(textOf(page)).toContain('Why the series exists');
});

it('a series that was never merged says so wherever it is named in a table, a title or a chart', () => {
  const named = markdown
    .replace(/<details>.*?<\/details>/gs, '')
    .split('\n')
    .filter((line) => line.includes('no-unload-v2'));
  expect(named.length).toBeGreaterThan(4);
  for (const line of named) expect(line).toMatch(/proposed/);
  for (const [name, content] of files) {
    if (!name.endsWith('.svg') || !content.includes('no-unload-v2')) continue;
    const times = (text: string) => content.split(text).length;
    expect([name, times('no-unload-v2')]).toEqual([
      name,
      name.includes('roles') ? times('never merged') : times('(proposed)'),
    ]);
  }
});

it('the charts name eras, words and values in text', () => {
  const labels = (file: string) =>
    [...files.get(file)!.matchAll(/<(?:text|tspan)[^>]*>([^<]+)</g)].map(([, text]) => text);
  expect(labels('charts/wp-root-loads.svg')).toEqual(
    expect.arrayContaining(['base-role', 'not in this era', 'v5.17', '543', 'NPT, TDP MMU', 'root loads']),
  );
  expect(labels('charts/wp-walk-cost.svg')).toEqual(
    expect.arrayContaining(['v5.17', 'guest 8000 + nested 40000', 'table entries read', 'shadow: shadow tables']),
  );
  expect(labels('charts/roles-npt-tdp-mmu-tables.svg')).toEqual(
    expect.arrayContaining([
      'v5.17',
      '0x20d00003784',
      '543 of 543',
      'cr0wp',
      '0x784',
      'efer_nx',
      'not in this layout',
      '–',
    ]),
  );
  expect(labels('charts/roles-npt-tdp-mmu-guest-walk.svg')).toEqual(expect.arrayContaining(['cpu-role', 'cr0wp']));
});

it('no face holds a value that is none', () => {
  for (const content of files.values()) expect(content).not.toMatch(/\bNaN\b|\bundefined\b|\[object /);
});

it('the page needs nothing from outside and runs nothing', () => {
  expect(page).not.toMatch(/<(script|link|img|iframe|object|embed|base|form)\b/i);
  expect(page).not.toMatch(/\s(src|srcset|on\w+)\s*=/i);
  expect(page.replace(/<main>.*<\/main>/s, '')).not.toMatch(/https?:/);
  expect(page).not.toMatch(/url\(|@import|@font-face/);
});

it('every link inside the page has a target, and no anchor is given twice', () => {
  const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
});

it('the same replays give the same bytes', async () => {
  const again = await reportFiles(modelOf(toggles()), []);
  expect([...again]).toEqual([...files]);
});

it('a hostile workload stays text in every face', async () => {
  const evil = '<img src=x onerror=alert(1)></style></svg><script>alert(2)</script>`|[x](javascript:alert(3))';
  const hostile = record('v5.17', 'npt-tdp-mmu', {
    phases: [{ name: evil, counts: toggles().flatMap((one) => ('phases' in one ? one.phases : []))[0]!.counts }],
    reloads: [{ by: evil, bits: evil, chain: [evil], count: 1, perPhase: { [evil]: 1 }, line: 7 }],
    writeEffects: [writeEffect(evil, [evil], 1)],
    steps: [
      { step: 0, line: 7, op: evil, phase: evil, vcpu: 0, roles: [], loads: 1, unloads: 0, hits: 0, reasons: [] },
    ],
    notInEra: [{ line: 9, op: evil, feature: evil, reason: evil, count: 1 }],
    stopped: { line: 9, reason: evil },
    guestFaults: [{ phase: evil, vector: 14, errorCode: 2, address: '0x0', count: 1 }],
    entryStates: [entryState('v5.17', [{ level: 4 }], { mmu: evil, phase: evil })],
  });
  const model = modelOf([hostile], { name: evil, title: evil });
  const written = await reportFiles(model, []);
  const html = written.get('index.html')!;
  // What would be markup is there as text only: as many times as it was given.
  expect(html).not.toMatch(/<(script|img)\b/i);
  expect(html.match(/<\/style>/g)).toHaveLength(1);
  expect(html).not.toMatch(/href="(?!https:|#|eras\/v5\.17\.html")/i);
  expect(html).toContain('&lt;script&gt;alert(2)&lt;/script&gt;');
  for (const [name, content] of written) {
    expect(name).toMatch(/^(index\.html|report\.(md|json)|charts\/[a-z0-9-]+\.svg)$/);
    if (name.endsWith('.svg')) {
      expect(content).not.toMatch(/<(script|img)\b/i);
      expect(content.match(/<\/svg>/g)).toHaveLength(1);
    }
  }
});

it('long tables are cut, and say so', async () => {
  const many = Array.from({ length: 45 }, (_, i) => writeEffect(`CR4.B${i}`, ['kvm_init_mmu'], 45 - i));
  const written = await reportFiles(modelOf([record('v5.17', 'npt-tdp-mmu', { writeEffects: many })]), []);
  expect(written.get('report.md')).toContain('21 further rows stand in report.json.');
  expect(written.get('report.json')).toContain('CR4.B44');
});
