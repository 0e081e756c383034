// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import {
  eraRecord,
  isWordFigure,
  type Story,
  type StoryFigures,
  stopEras,
  type WordsOfReplay,
} from '../facts/index.ts';
import { projectRoot } from '../root.ts';
import { loadWorkload } from '../workload/bundled.ts';
import { resolvePort } from './every-port.ts';
import { figuresOf } from './figures.ts';
import type { HostOptions } from './host.ts';
import { isAvailable, type ReplayRecord, type ReplayResult } from './record.ts';
import { replay } from './run.ts';
import { wordsAtOnce } from './story-words.ts';

/** MMU kinds as a stop names them. */
const modes: Readonly<Record<string, HostOptions>> = {
  shadow: { kind: 'shadow', implementation: null, vendor: 'svm' },
  'npt-legacy': { kind: 'npt', implementation: 'legacy', vendor: 'svm' },
  'npt-tdp-mmu': { kind: 'npt', implementation: 'tdp-mmu', vendor: 'svm' },
  'ept-legacy': { kind: 'ept', implementation: 'legacy', vendor: 'vmx' },
  'ept-tdp-mmu': { kind: 'ept', implementation: 'tdp-mmu', vendor: 'vmx' },
};

/** Replays what the stops of the stories ask for, each run once: the content of commits/story-figures.json. */
export function storyFigures(stories: readonly Story[]): StoryFigures {
  const runs = new Map<string, { readonly result: ReplayResult; readonly figures: Set<string> }>();
  const words = new Map<string, WordsOfReplay>();
  for (const story of stories) {
    for (const { replay: wanted } of story.stops) {
      if (!wanted) continue;
      const eras = stopEras(wanted, eraRecord(story.era));
      const results = eras.map((era) => {
        const key = [wanted.workload, wanted.mode, era].join(' ');
        const run = runs.get(key) ?? { result: replayOf(wanted.workload, wanted.mode, era), figures: new Set() };
        runs.set(key, run);
        for (const figure of wanted.figures) if (!isWordFigure(figure)) run.figures.add(figure);
        return run.result;
      });
      for (const figure of wanted.figures.filter(isWordFigure)) {
        const { workload, mode } = wanted;
        const key = [workload, mode, ...eras, figure].join(' ');
        words.set(key, { workload, mode, figure, eras, rows: wordsAtOnce(results.map(available), figure) });
      }
    }
  }
  return {
    schema: 'story-figures/2',
    about: 'Replays that the stops of the stories name. `npm run stories` writes this file, a test compares it.',
    replays: byKey(runs).map(([key, { result, figures }]) => {
      const [workload, mode, era] = key.split(' ') as [string, string, string];
      const head = { workload, mode, era };
      if (!isAvailable(result)) return { ...head, unavailable: result.unavailable, figures: {} };
      return {
        ...head,
        unavailable: null,
        figures: Object.fromEntries([...figures].sort().map((figure) => [figure, figureOf(result, figure)])),
      };
    }),
    words: byKey(words).map(([, found]) => found),
  };
}

const byKey = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

function available(result: ReplayResult): ReplayRecord {
  if (isAvailable(result)) return result;
  throw new Error(`no role words of ${result.workload} ${result.mode} ${result.era}: ${result.unavailable}`);
}

function replayOf(workload: string, mode: string, era: string): ReplayResult {
  const host = modes[mode];
  if (!host) throw new Error(`no mode ${mode}; there are ${Object.keys(modes).join(', ')}`);
  // A workload of the stories' own is named by its place in the project.
  const name = workload.includes('/') ? join(projectRoot().folder, workload) : workload;
  return replay(resolvePort(era), loadWorkload(name), host);
}

function figureOf(record: ReplayRecord, figure: string): number {
  const found = figuresOf(record.total).find(({ name }) => name === figure);
  if (!found) throw new Error(`no figure "${figure}"`);
  return found.value;
}
