// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { halfLayout, layoutRecord, loadFacts, seedEras, story, usesTable } from '../../src/facts/index.ts';
import { commitsFolder } from '../../src/facts/load.ts';

const facts = loadFacts();
const files = readdirSync(commitsFolder(), { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name));
const textOf = (name: string): string => readFileSync(join(commitsFolder(), name), 'utf8');

/** Every string in a JSON value, with the key it stands under. */
function strings(value: unknown, key = ''): [key: string, text: string][] {
  if (typeof value === 'string') return [[key, value]];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([inner, child]) => strings(child, Array.isArray(value) ? key : inner));
}

describe('commits/', () => {
  test('era ids, layout ids and milestone orders are unique', () => {
    for (const ids of [
      facts.eras.map(({ id }) => id),
      facts.layouts.map(({ id }) => id),
      facts.milestones.milestones.map(({ order }) => order),
      facts.roleBits.bits.map(({ name, union }) => `${union}.${name}`),
      facts.noUnloadV2.patches.map(({ messageId }) => messageId),
    ]) {
      expect(new Set<unknown>(ids).size).toBe(ids.length);
    }
  });

  test('merged eras form one chain in file order, proposed ones hang off it', () => {
    const merged = facts.eras.filter(({ status }) => status === 'merged');
    expect(merged.map(({ previous }) => previous)).toEqual([null, ...merged.slice(0, -1).map(({ id }) => id)]);
    for (const era of facts.eras.filter(({ status }) => status === 'proposed')) {
      expect(merged.map(({ id }) => id)).toContain(era.previous);
      expect(era.title).toContain('never merged');
      expect(era.commit).toBeNull();
    }
  });

  test('an era just before another one shares its revision', () => {
    for (const { before } of facts.eras) {
      if (!before) continue;
      expect(facts.eras.find(({ id }) => id === before.era)?.revision).toBe(before.revision);
    }
    expect(facts.eras.find(({ id }) => id === 'cpu-role')?.before?.revision).toBe(
      'b89805082adf1f502b1f0b993063e938e1bcb098',
    );
  });

  test('the four seeds are marked', () => {
    expect(facts.eras.filter(({ seed }) => seed).map(({ id }) => id)).toEqual([
      'base-role',
      'role-union',
      'no-unload-v2',
      'cpu-role',
    ]);
    expect([...seedEras].sort()).toEqual(['base-role', 'cpu-role', 'no-unload-v2', 'role-union']);
  });

  test.each(files.filter((name) => name.endsWith('.json')))(
    '%s: every address is well-formed, every sha hex',
    (name) => {
      for (const [key, text] of strings(JSON.parse(textOf(name)))) {
        for (const address of text.match(/https?:[^\s)"]+/g) ?? []) {
          expect(address).toMatch(/^https:\/\/(git\.kernel\.org|github\.com|lore\.kernel\.org)\//);
          expect(() => new URL(address.replace(/[{}]/g, ''))).not.toThrow();
        }
        if (key === 'sha' && !text.includes(' ')) expect(text).toMatch(/^[0-9a-f]{12,40}$/);
      }
    },
  );

  test('milestone and bit addresses name the sha of their record', () => {
    for (const { sha, urls } of facts.milestones.milestones) {
      expect(urls.git_kernel_org.endsWith(`id=${sha}`)).toBe(true);
      expect(urls.github.endsWith(`/${sha}`)).toBe(true);
    }
  });

  test('the series has 18 patches: 11 landed in v5.18, one reworked for v6.4, six nowhere', () => {
    const { patches } = facts.noUnloadV2;
    expect(patches.map(({ number }) => number)).toEqual(Array.from({ length: 18 }, (_, index) => index + 1));
    for (const { number, messageId } of patches) {
      expect(messageId).toBe(`20220217210340.312449-${number + 1}-pbonzini@redhat.com`);
    }
    const landed = patches.filter(({ outcome }) => outcome === 'landed');
    expect(landed.map(({ number }) => number)).toEqual([1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 17]);
    expect(landed.every((patch) => patch.landed?.release === 'v5.18')).toBe(true);
    expect(patches[13]?.landed).toEqual({ sha: '2fdcc1b324189b5fb20655baebd40cd82e2bdf0c', release: 'v6.4' });
    const nowhere = patches.filter(({ outcome }) => outcome === 'dropped' || outcome === 'replaced');
    expect(nowhere.map(({ number }) => number)).toEqual([3, 7, 13, 15, 16, 18]);
  });

  test('milestones of the series agree with the series', () => {
    for (const { sha, message_id } of facts.milestones.milestones) {
      const patch = facts.noUnloadV2.patches.find(({ messageId }) => messageId === message_id);
      if (patch) expect(patch.landed?.sha).toBe(sha);
    }
  });
});

describe('stories', () => {
  const told = ['base-role', 'role-union', 'v4.20', 'v5.10', 'v5.17', 'no-unload-v2', 'cpu-role', 'root-role', 'cr0wp'];

  test.each(told)('%s: 30 to 110 lines, starts with its id, links resolve to known records', (id) => {
    const text = story(id);
    const lines = text.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(30);
    expect(lines.length).toBeLessThanOrEqual(110);
    expect(lines[0]).toMatch(new RegExp(`^# ${id.replace('.', '\\.')}: `));
    const shas = [
      ...facts.eras.map(({ commit }) => commit),
      ...facts.noUnloadV2.patches.map(({ landed }) => landed?.sha ?? null),
      ...facts.milestones.milestones.map(({ sha }) => sha),
      ...['e40bcf9f3a187126ce74a05d3b177fc16874446f', 'cf9f4c0eb1699d306e348b1fd0225af7b2c282d3'],
    ];
    for (const [, shown, sha] of text.matchAll(
      /\[([0-9a-f]{12})\]\(https:\/\/git\.kernel\.org\/linus\/([0-9a-f]+)\)/g,
    )) {
      expect(sha!.startsWith(shown!)).toBe(true);
      expect(shas).toContain(sha);
    }
  });

  test('wherever a story names the proposed series it says that it was never merged', () => {
    for (const id of told.filter((era) => era !== 'base-role' && era !== 'role-union')) {
      const text = story(id).replaceAll('\n', ' ');
      if (text.includes('no-unload-v2')) expect(text).toContain('never merged');
    }
  });

  test('the code just before a commit is told in that story', () => {
    expect(story('cpu-role^')).toBe(story('cpu-role'));
  });
});

describe('tables of uses', () => {
  const tables = facts.eras.filter(({ id }) => id !== 'base-role^' && id !== 'role-union^').map(({ id }) => id);
  const roleWords = ['cpu_role', 'root_role', 'mmu_role', 'base_role', 'page_role'];

  test.each(tables)('%s: functions once each, fields are those of the layout', (id) => {
    const table = usesTable(id);
    expect(table.era).toBe(id);
    const layout = layoutRecord(facts.eras.find((era) => era.id === id)!.layout);
    const base = [...(halfLayout(layout, 'base')?.byName.keys() ?? [])];
    const ext = [...(halfLayout(layout, 'ext')?.byName.keys() ?? [])];
    const functions = table.rows.map((row) => `${row.file} ${row.function}`);
    expect(new Set(functions).size).toBe(functions.length);
    for (const row of table.rows) {
      expect(new Set(row.reads.map(({ word }) => word)).size).toBe(row.reads.length);
      for (const { word, fields } of row.reads) {
        expect(new Set(fields).size).toBe(fields.length);
        if (!roleWords.includes(word)) continue;
        const known = ['word', ...base];
        // The role of a page and the bare root role are 32-bit words.
        if (word === 'cpu_role' || word === 'mmu_role') known.push('as_u64', ...ext);
        for (const field of fields) expect(known, `${row.function} ${word}`).toContain(field);
      }
    }
  });

  test.each([
    ['base-role', ['base_role', 'page_role']],
    ['role-union', ['mmu_role', 'page_role']],
    ['v5.17', ['mmu_role', 'page_role']],
    ['no-unload-v2', ['mmu_role', 'page_role']],
    ['cpu-role^', ['mmu_role', 'page_role']],
    ['cpu-role', ['cpu_role', 'mmu_role', 'page_role']],
    ['root-role', ['cpu_role', 'page_role', 'root_role']],
    ['cr0wp', ['cpu_role', 'page_role', 'root_role']],
  ])('%s reads the role words it has: %j', (id, words) => {
    const read = usesTable(id).rows.flatMap(({ reads }) => reads.map(({ word }) => word));
    expect([...new Set(read.filter((word) => roleWords.includes(word)))].sort()).toEqual(words);
  });
});
