// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile, type Row, type VectorFile } from '../../src/conform/format.ts';
import { conformParsed, same } from '../../src/conform/run.ts';
import type { Era, VectorRow } from '../../src/era.ts';
import { CR0 } from '../../src/sim/registers.ts';

/**
 * Event, root-cache and sequence vectors, also against ports that a file does not name but holds for: the root cache is
 * the same code in four commits, and three of them do the same on every register write.
 */

const folder = fileURLToPath(new URL('../vectors', import.meta.url));

function vectorFile(name: string): VectorFile {
  const path = join(folder, name);
  return parseVectorFile(path, readVectorText(path));
}

function eraOf(id: string): Era {
  const era = eras.find((each) => each.id === id);
  if (!era) throw new Error(`no port of ${id}`);
  return era;
}

/** Rows or steps of each file, counted from the files' own headers. */
const subjects: readonly (readonly [era: string, file: string, checks: number])[] = [
  ['v5.10', 'v5.10-events.json', 8253],
  ['v5.10', 'v5.10-rootcache.json', 8511],
  ['v5.17', 'v5.17-events.json', 8329],
  ['v5.17', 'v5.17-rootcache.json', 11880],
  ['v5.17', 'v5.17-sequences.json.gz', 28977],
  ['no-unload-v2', 'no-unload-v2-events.json', 8329],
  ['no-unload-v2', 'no-unload-v2-rootcache.json', 11880],
  ['no-unload-v2', 'no-unload-v2-sequences.json.gz', 28977],
  ['cpu-role^', 'e5ed0fb0-events.json', 7797],
  ['cpu-role^', 'e5ed0fb0-rootcache.json', 8583],
  ['cpu-role', 'e5ed0fb0-events.json', 7797],
  ['cpu-role', 'e5ed0fb0-rootcache.json', 8583],
  ['root-role', 'e5ed0fb0-events.json', 7797],
  ['root-role', 'e5ed0fb0-rootcache.json', 8583],
  ['cr0wp', '01b31714-events.json', 7797],
  ['cr0wp', 'e5ed0fb0-rootcache.json', 8583],
];

describe('root vectors', () => {
  it.each(subjects)('%s: %s', (id, file, checks) => {
    const { sections } = conformParsed(vectorFile(file), eraOf(id));
    expect(sections.flatMap(({ failures }) => failures)).toEqual([]);
    expect(sections.reduce((sum, { passed }) => sum + passed, 0)).toBe(checks);
  });
});

describe('claims about register writes', () => {
  const file = vectorFile('e5ed0fb0-events.json');
  const section = file.sections[0]!;
  const rows: readonly Row[] = section.kind === 'rows' ? section.rows : [];
  const answers = (id: string): VectorRow[] => {
    const answer = eraOf(id).vectors.rows.events!;
    return rows.map(({ input }) => answer(input, file.context));
  };

  it.each([
    ['cpu-role^', 'cpu-role'],
    ['cpu-role', 'root-role'],
  ])('%s to %s is no functional change', (before, after) => {
    const old = answers(before);
    const differing = answers(after).filter((answer, i) => !same(answer, old[i]));
    expect(old).toHaveLength(7797);
    expect(differing).toEqual([]);
  });

  it('cr0wp changes writes of CR0.WP alone under TDP, and nothing else', () => {
    const old = answers('root-role');
    const differing = answers('cr0wp').flatMap((answer, i) =>
      same(answer, old[i]) ? [] : [{ input: rows[i]!.input, before: old[i]!.actions, after: answer.actions }],
    );
    // As many as the recordings of the two commits differ in: the inputs are the same, row by row.
    const later = vectorFile('01b31714-events.json').sections[0]!;
    const laterRows = later.kind === 'rows' ? later.rows : [];
    const recorded = rows.filter(({ input, expected }, i) => {
      expect(laterRows[i]!.input).toEqual(input);
      return !same(laterRows[i]!.expected, expected);
    });
    expect(differing).toHaveLength(recorded.length);
    expect(recorded.length).toBeGreaterThan(0);
    for (const { input, before, after } of differing) {
      const changed = Number.parseInt(String(input.cr0), 16) ^ Number.parseInt(String(input.arg), 16);
      expect([input.event, input.tdp, changed]).toEqual(['set_cr0', 1, CR0.WP]);
      expect([before, after]).toEqual([['reset_context'], ['init_mmu']]);
    }
  });
});
