// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it, test } from 'vitest';
import { eras as ports } from '../../snapshots/all.ts';
import { plainMarkdown } from '../../src/cli/facts/markdown.ts';
import { plainOutput } from '../../src/cli/terminal.ts';
import { allStories, eraRecord, type StopWords } from '../../src/facts/index.ts';
import { eraPage } from '../../src/facts/reading.ts';
import { changedFields, decodedRole, setFields } from '../../src/facts/role-changes.ts';
import { loadStoryFigures } from '../../src/facts/story-figures.ts';
import type { WordsOfReplay } from '../../src/facts/story-words.ts';
import type { ReplayRecord } from '../../src/replay/record.ts';
import { wordsAtOnce } from '../../src/replay/story-words.ts';
import { blockMarkdown } from '../../src/report/document.ts';
import { wordTable } from '../../src/report/story-words.ts';
import { decode } from '../../src/role/layout.ts';

const allWords = loadStoryFigures().words;
const tables = allStories().flatMap(({ era }) => eraPage(era).stops.flatMap(({ figures }) => figures?.words ?? []));
const titled = (words: WordsOfReplay): string => [words.workload, words.mode, words.figure, ...words.eras].join(' ');

/** Names and values of a word by the layouts of the port, which is what the kernel declared. */
function byPort(era: string, hex: string): Record<string, number> {
  const { page, extended } = ports.find(({ id }) => id === era)!.layouts;
  const digits = hex.slice(2).padStart(16, '0');
  const base = decode(page, Number.parseInt(digits.slice(8), 16));
  const ext = extended ? decode(extended, Number.parseInt(digits.slice(0, 8), 16)) : { fields: {}, unknown: 0 };
  expect([base.unknown, ext.unknown]).toEqual([0, 0]);
  const inExtended = Object.entries(ext.fields).map(([name, value]) => [`ext.${name}`, value] as const);
  return Object.fromEntries([...Object.entries(base.fields), ...inExtended].filter(([, value]) => value !== 0));
}

const key = (half: string, name: string): string => (half === 'ext' ? `ext.${name}` : name);

/** Fields of the base word that got another name with the same meaning. */
const renamed: Readonly<Record<string, string>> = { nxe: 'efer_nx', cr4_pae: 'gpte_is_8_bytes' };

/** What is left of a word's fields after the notes of another one: its set fields, under its own names. */
function applied(before: Readonly<Record<string, number>>, { notes }: StopWords['rows'][number][number]) {
  const fields = { ...before };
  for (const { half, name, formerly, what, value } of notes) {
    delete fields[key(half, formerly)];
    const number = Number.parseInt(value, 10);
    if (what !== 'gone' && number !== 0) fields[key(half, name)] = number;
  }
  return fields;
}

describe('words of the stories', () => {
  test('there are many, and several layouts', () => {
    expect(tables.length).toBeGreaterThan(20);
    expect(new Set(allWords.flatMap(({ eras }) => eras.map((era) => eraRecord(era).layout))).size).toBeGreaterThan(5);
  });

  test.each(allWords.map((words) => [titled(words), words] as const))(
    '%s: the decoding is that of the ports',
    (_, { eras, rows }) => {
      for (const row of rows) {
        row.forEach((hex, at) => {
          const extended = hex.length > 10;
          const set = setFields(decodedRole(eraRecord(eras[at]!), hex, extended));
          const found = set.map(({ half, name, value }) => [key(half, name), Number.parseInt(value, 10)]);
          expect(Object.fromEntries(found)).toEqual(byPort(eras[at]!, hex));
        });
      }
    },
  );

  it('a word and the notes beside or below it make the other word', () => {
    let seen = 0;
    for (const { columns, rows } of tables) {
      rows.forEach((row, index) => {
        row.forEach((cell, at) => {
          const left = at > 0;
          expect(cell.against).toBe(left ? 'left' : index > 0 ? 'above' : 'nothing');
          const other = left ? row[at - 1] : rows[index - 1]?.[at];
          const era = columns[left ? at - 1 : at]!;
          const before = other ? byPort(era.era, other.hex) : {};
          const expected = byPort(columns[at]!.era, cell.hex);
          // A word of 32 bits has no extended half to compare; renamed fields that are alike are not told.
          const both = era.extended && columns[at]!.extended;
          const kept = (fields: Record<string, number>) =>
            Object.fromEntries(
              Object.entries(fields)
                .filter(([name]) => both || !name.startsWith('ext.'))
                .map(([name, value]) => [renamed[name] ?? name, value]),
            );
          expect(kept(applied(before, cell))).toEqual(kept(expected));
          seen++;
        });
      });
    }
    expect(seen).toBeGreaterThan(100);
  });

  it('no table is wider than 100 columns', () => {
    for (const { era } of allStories()) {
      const page = eraPage(era);
      for (const words of page.stops.flatMap(({ figures }) => figures?.words ?? [])) {
        const lines = plainMarkdown(blockMarkdown(wordTable(words)), plainOutput).split('\n');
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
        // Each word is there in one piece.
        for (const { hex } of words.rows.flat()) expect(lines.join('\n')).toContain(hex);
      }
    }
  });

  it('the guest walk of cpu-role beside that of the code before it', () => {
    const words = eraPage('cpu-role').stops[0]!.figures!.words[0]!;
    expect(blockMarkdown(wordTable(words)).split('\n')).toEqual([
      '| guest walk: cpu-role^ | `mmu.mmu_role` | cpu-role | `mmu.cpu_role`, against cpu-role^ |',
      '| --- | --- | --- | --- |',
      '| `0x100000784` | `level=4 direct access=7 (exec write user)`; ext: `valid` | `0x100000780` | `level=4→0` |',
      '| `0xd00002784` | `+cr0_wp`; ext: `+cr0_pg +cr4_pae` | `0xd00002703` | `level=4→3 -direct` |',
      '| `0xd00003784` | `+efer_nx` | `0xd00003703` | `level=4→3 -direct` |',
      '| `0x20d00002784` | `-efer_nx`; ext: `+efer_lma` | `0x20d00002704` | `-direct` |',
      '| `0x20d00003784` | `+efer_nx` | `0x20d00003704` | `-direct` |',
    ]);
  });
});

describe('notes', () => {
  const changes = (a: string, hexA: string, b: string, hexB: string): string[] =>
    changedFields(decodedRole(eraRecord(a), hexA, true), decodedRole(eraRecord(b), hexB, true)).map(
      ({ half, what, formerly, before, name, value }) => `${half} ${what} ${formerly}=${before} ${name}=${value}`,
    );

  test('a field of another name, one that turned round, one that went and one that came', () => {
    // v5.10: gpte_is_8_bytes is bit 4, nxe bit 12, maxphyaddr in the extended half; v5.17 has has_4_byte_gpte, efer_nx, efer_lma.
    expect(changes('v5.10', '0x500d00003794', 'v5.17', '0x20d00003784')).toEqual([
      'base renamed gpte_is_8_bytes=1 has_4_byte_gpte=0',
      'ext new efer_lma=0 efer_lma=1',
      'ext gone maxphyaddr=40 maxphyaddr=40',
    ]);
    expect(changes('v5.10', '0x500900001794', 'v5.17', '0x100000784')).toContain('base renamed nxe=1 efer_nx=0');
  });

  test('rights have their names', () => {
    expect(changes('v6.12', '0x100003784', 'v7.2', '0x100006f84')).toEqual([
      'base changed access=7 (exec write user) access=15 (read write user exec)',
    ]);
  });

  test('a word that its layout cannot hold is a mistake of ours', () => {
    expect(() => decodedRole(eraRecord('v4.20'), '0x20d00003784', true)).toThrow(
      'v4.20: ext bit 9 is no field of L2018b',
    );
    expect(() => decodedRole(eraRecord('root-role'), '0x100003784', false)).toThrow('more than 32 bits');
  });
});

describe('words in force at the same time', () => {
  const role = (base: number) => [{ base, extended: null }];
  /** Steps as `number: word`; entries as runs of words. */
  const record = (era: string, steps: readonly [number, number][], entries: readonly number[], mmu = 'root_mmu') => {
    const entryStates = entries.map((base) => ({ mmu, roles: role(base) }));
    const made = {
      era,
      mode: 'shadow',
      workload: 'w',
      entryStates,
      steps: steps.map(([step, base]) => ({ step, roles: role(base) })),
    };
    // Only what the function reads.
    return made as unknown as ReplayRecord;
  };

  it('go by the steps of the guest, not by their order', () => {
    const a = record(
      'a',
      [
        [0, 1],
        [4, 2],
        [9, 1],
      ],
      [1, 2, 1],
    );
    const b = record(
      'b',
      [
        [0, 1],
        [7, 2],
        [9, 1],
      ],
      [1, 2, 1],
    );
    expect(wordsAtOnce([a, b], 'tables')).toEqual([
      ['0x1', '0x1'],
      ['0x2', '0x1'],
      ['0x2', '0x2'],
    ]);
  });

  it('go by their order where steps do not show them, if that is the same', () => {
    const a = record('a', [[0, 0]], [0, 1, 0]);
    const b = record('b', [[0, 0]], [0, 2, 0]);
    expect(wordsAtOnce([a, b], 'tables')).toEqual([
      ['0x0', '0x0'],
      ['0x1', '0x2'],
    ]);
    const c = record('c', [[0, 0]], [0, 1, 2, 0]);
    expect(() => wordsAtOnce([a, c], 'tables')).toThrow('tables of w shadow a, w shadow c: which words');
  });

  it('have each combination once, with a word of every era', () => {
    for (const { rows, eras } of allWords) {
      expect(new Set(rows.map((row) => row.join(' '))).size).toBe(rows.length);
      for (const row of rows) expect(row).toHaveLength(eras.length);
    }
  });
});
