// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { allStories, citedFunctions, eraRecord, isWordFigure, loadFacts, stopEras } from '../../src/facts/index.ts';
import { commitsFolder } from '../../src/facts/load.ts';
import { portDeclaration } from '../../src/facts/port-source.ts';
import { eraPage } from '../../src/facts/reading.ts';
import type { StopReplay } from '../../src/facts/story.ts';
import { loadStoryFigures } from '../../src/facts/story-figures.ts';
import { storyFigures } from '../../src/replay/story-figures.ts';

const stories = allStories();
const stops = stories.flatMap((story) => story.stops.map((stop) => ({ era: story.era, ...stop })));
const named = stops.map((stop) => [`${stop.era}: ${stop.title}`, stop] as const);

/** Sentences of running text: a full stop inside code, a version or an address ends none. */
const sentences = (text: string): number =>
  text
    .replace(/\s+/g, ' ')
    .replace(/`[^`]*`/g, 'code')
    .match(/[.?!](?= [A-Z0-9"]| `|$)/g)?.length ?? 0;

describe('stories', () => {
  it('there is one for every era, or for the commit that it is the code before', () => {
    for (const { id } of loadFacts().eras) {
      const { toldIn, stops: own } = eraPage(id);
      expect(own.length).toBeGreaterThanOrEqual(3);
      if (toldIn !== null) expect(eraRecord(toldIn).before?.era).toBe(id);
    }
    expect(stories).toHaveLength(14);
  });

  test.each(named)('%s: two or three sentences', (_, { text }) => {
    expect(sentences(text)).toBeGreaterThanOrEqual(2);
    expect(sentences(text)).toBeLessThanOrEqual(3);
  });

  test.each(named)(
    '%s: every declaration is in the port, one at least in that of the era or of the one before',
    (_, stop) => {
      const { snapshot, previous } = eraRecord(stop.era);
      for (const port of stop.ports) expect(portDeclaration(port), port.name).toBeDefined();
      const near = [snapshot, previous === null ? null : eraRecord(previous).snapshot];
      expect(stop.ports.some(({ folder }) => near.includes(folder))).toBe(true);
    },
  );

  test.each(named)('%s: the place upstream is where the ports cite it', (_, { era, upstream }) => {
    expect(upstream.length > 0 || eraRecord(era).commit === null).toBe(true);
    const eras = [era, eraRecord(era).previous].filter((id) => id !== null);
    for (const { path, name } of upstream) {
      const cited = eras.flatMap((id) => citedFunctions(eraRecord(id).snapshot!).get(name)?.path ?? []);
      if (cited.length > 0) expect(cited).toContain(path);
      else expect(uncited, `${path}#${name}`).toContain(name);
    }
  });

  test.each(named)('%s: its commit is one that the facts or the stories know in full or in part', (_, { commit }) => {
    if (commit === null || commit === 'own') return;
    const { milestones, noUnloadV2 } = loadFacts();
    const known = [
      ...milestones.milestones.map(({ sha }) => sha),
      ...noUnloadV2.patches.map(({ landed }) => landed?.sha),
      ...stories.flatMap(({ opening, closing }) =>
        [...`${opening}${closing}`.matchAll(/linus\/([0-9a-f]{40})/g)].map(([, sha]) => sha),
      ),
    ];
    expect(known.some((sha) => sha?.startsWith(commit))).toBe(true);
  });

  it('a stop without a replay of its own says why, and those are few', () => {
    const unseen = stops.filter(({ replay }) => replay === null);
    for (const stop of unseen) expect(stop.unseen).toMatch(/\.$/);
    expect(unseen.length).toBeLessThan(stops.length / 8);
  });
});

/** Names that no port has as a declaration of its own: unions, a macro, and functions that a port calls otherwise. */
const uncited = [
  'kvm_mmu_role',
  'kvm_mmu_extended_role',
  'BUILD_MMU_ROLE_ACCESSOR',
  'nested_svm_load_cr3',
  'kvm_tdp_mmu_get_vcpu_root_hpa',
  '__kvm_mmu_refresh_passthrough_bits',
];

describe('figures', () => {
  const text = readFileSync(join(commitsFolder(), 'story-figures.json'), 'utf8');
  const replayed = storyFigures(stories);

  it('are those of the replays (npm run stories writes them)', () => {
    expect(JSON.parse(text)).toEqual(replayed);
    expect(text).toBe(`${JSON.stringify(replayed, null, 1)}\n`);
  });

  it('differ between the eras, or the stop says that they do not', () => {
    const same = stops.filter((stop) => {
      if (!stop.replay) return false;
      const { counters, words } = shownBy(stop.replay, stopEras(stop.replay, eraRecord(stop.era)));
      return [...counters, ...words].every((values) => new Set<unknown>(values).size === 1);
    });
    expect(same.map(({ era, title }) => `${era}: ${title}`)).toEqual(nothingMoves);
  });
});

/** What a stop compares: the values of each counter in its eras, and the words of each moment. */
function shownBy({ workload, mode, figures }: StopReplay, eras: readonly string[]) {
  const { replays, words } = loadStoryFigures();
  const isOf = (one: { readonly workload: string; readonly mode: string }) =>
    one.workload === workload && one.mode === mode;
  const runs = eras.map((era) => replays.find((run) => isOf(run) && run.era === era)!);
  return {
    counters: figures.filter((figure) => !isWordFigure(figure)).map((figure) => runs.map((run) => run.figures[figure])),
    words: words
      .filter((one) => isOf(one) && figures.includes(one.figure) && one.eras.join() === eras.join())
      .flatMap(({ rows }) => rows),
  };
}

/** Stops whose point is that no count and no word moves. */
const nothingMoves = [
  'base-role: One writer, under shadow paging',
  'role-union: A longer name for the same word',
  'role-union: Every reader follows',
  'role-union: What a context keeps',
  'v4.20: The same role, no set-up',
  'cpu-role: Nothing to do only when both are the same',
  'cpu-role: A walker that has no tables',
  'v5.19: The copies go',
  'cr0wp: Why a set-up is enough',
  'cr0wp: Shadow paging stays as it is',
  'cr0wp: A child takes the role of its parent',
  'v6.1: A kept child must be the wanted one',
  "v7.3: The guest's walk is a struct of its own",
  'v7.3: Each half stops for itself',
  'v7.3: The nested walker goes',
  "v7.3: KVM's own entries are judged by a table too",
];
