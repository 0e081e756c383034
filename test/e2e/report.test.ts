// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { ReportModel } from '../../src/replay/report-model.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let base: string;

/** Runs the built command as a user does, in `base`. */
function run(...args: readonly string[]) {
  const command = [join(root, 'bin', 'mmu-eras.mjs'), 'report', ...args];
  return spawnSync(process.execPath, command, { cwd: base, encoding: 'utf8' });
}

/** Every file of a folder with its content. */
const contents = (folder: string): [string, string][] =>
  readdirSync(join(base, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(base, folder, name)).isFile())
    .sort()
    .map((name) => [name, readFileSync(join(base, folder, name), 'utf8')]);

const model = (folder: string): ReportModel =>
  JSON.parse(readFileSync(join(base, folder, 'report.json'), 'utf8')) as ReportModel;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'mmu-report-'));
});
afterAll(() => rmSync(base, { recursive: true }));

it('writes a whole report, twice the same, and says where', () => {
  const first = run('wp-toggle', '-o', 'one');
  expect([first.status, first.stderr, first.stdout]).toEqual([0, '', `${join('one', 'index.html')}\n`]);
  expect(run('wp-toggle', '--output', 'two').status).toBe(0);
  expect(contents('two')).toEqual(contents('one'));
  expect(contents('one').map(([name]) => name)).toEqual(
    expect.arrayContaining([
      'charts/wp-toggle-root-loads.svg',
      'charts/wp-toggle-walk-cost.svg',
      'index.html',
      'report.json',
      'report.md',
    ]),
  );
});

it('shows every port under every MMU kind', () => {
  const { workloads, mmus } = model('one');
  expect(mmus.map(({ mode }) => mode)).toEqual(['shadow', 'npt-legacy', 'npt-tdp-mmu', 'ept']);
  const [toggle] = workloads;
  expect(toggle!.summary.map(({ era }) => era)).toEqual(eras.map(({ id }) => id));
  for (const { cells } of toggle!.summary) expect(cells).toHaveLength(4);
});

/**
 * Root loads in the three phases of wp-toggle that only toggle CR0.WP, 500 writes in all, as traces of real kernels have
 * them: 4.20, 5.10 and 5.19 load a root for each under every MMU, 6.1.192 (which has 01b31714bd90) only under shadow paging.
 */
const recorded: Readonly<Record<string, { readonly shadow: number; readonly npt: number }>> = {
  'role-union': { shadow: 500, npt: 500 },
  'v5.17': { shadow: 500, npt: 500 },
  'cpu-role^': { shadow: 500, npt: 500 },
  'cpu-role': { shadow: 500, npt: 500 },
  cr0wp: { shadow: 500, npt: 0 },
};

it('counts what real kernels did', () => {
  const toggles = ['toggle-touch', 'toggle-touch4', 'toggle-only'];
  for (const { mmu, eras: ran, phases } of model('one').workloads[0]!.sections) {
    for (const [column, era] of ran.entries()) {
      const expected = recorded[era]?.[mmu.mode === 'shadow' ? 'shadow' : 'npt'];
      if (expected === undefined || mmu.mode === 'ept') continue;
      const loads = phases
        .filter(({ phase }) => toggles.includes(phase))
        .map(({ counters }) => counters.find(({ name }) => name === 'mmu_load')?.values[column] ?? 0);
      expect([era, mmu.mode, loads.reduce((a, b) => a + b, 0)]).toEqual([era, mmu.mode, expected]);
    }
  }
});

it('a page without network or scripts', () => {
  const page = readFileSync(join(base, 'one', 'index.html'), 'utf8');
  expect(page).not.toMatch(/<(script|link|img|iframe|object|embed|form)\b|\ssrc=|url\(|@import/i);
});

it('every bundled workload under every era fits in a page that a mail could carry', () => {
  const { status, stderr } = run('all', '-o', 'all');
  expect([status, stderr]).toEqual([0, '']);
  expect(statSync(join(base, 'all', 'index.html')).size).toBeLessThan(2_000_000);
  expect(model('all').workloads.length).toBeGreaterThan(7);
});

it('a hostile file is text', () => {
  const evil = '</title><script>alert(1)</script><img src=x onerror=alert(2)>';
  writeFileSync(join(base, 'evil.ops'), `# ${evil}\nphase one\n`);
  const written = run('evil.ops', '-o', 'evil', '--mmu', 'shadow');
  expect([written.status, written.stderr]).toEqual([0, '']);
  const page = readFileSync(join(base, 'evil', 'index.html'), 'utf8');
  expect(page).not.toMatch(/<(script|img)\b/i);
  expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
});

it('refuses a folder of others before it works, and leaves it alone', () => {
  writeFileSync(join(base, 'one', 'notes.txt'), 'mine');
  const { status, stderr, stdout } = run('wp-toggle', '-o', 'one');
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(
    /^one: a folder with 1 other file, notes\.txt\n {2}expected: .*\n {2}try: -o one\/mmu-report\n$/,
  );
  expect(readFileSync(join(base, 'one', 'notes.txt'), 'utf8')).toBe('mine');
});

it('explains unknown workloads and a missing folder, and writes nothing', () => {
  expect(run('wp-togle', '-o', 'x').stderr).toContain('try: wp-toggle');
  expect(run('wp-toggle', '--eras', 'cpu-rol', '-o', 'x').stderr).toContain('try: cpu-role');
  expect(run('wp-toggle').status).toBe(2);
  expect(readdirSync(base)).not.toContain('x');
});
