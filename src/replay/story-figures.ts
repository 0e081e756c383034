// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { eraRecord, type FigureValue, type Story, type StoryFigures, stopEras } from '../facts/index.ts';
import { hex32 } from '../role/layout.ts';
import { projectRoot } from '../root.ts';
import { loadWorkload } from '../workload/bundled.ts';
import { resolvePort } from './every-port.ts';
import { figuresOf } from './figures.ts';
import type { HostOptions } from './host.ts';
import { isAvailable, type ReplayRecord, type ReplayResult } from './record.ts';
import { replay } from './run.ts';

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
  for (const story of stories) {
    for (const { replay: wanted } of story.stops) {
      if (!wanted) continue;
      for (const era of stopEras(wanted, eraRecord(story.era))) {
        const key = [wanted.workload, wanted.mode, era].join(' ');
        let run = runs.get(key);
        if (!run) {
          run = { result: replayOf(wanted.workload, wanted.mode, era), figures: new Set() };
          runs.set(key, run);
        }
        for (const figure of wanted.figures) run.figures.add(figure);
      }
    }
  }
  const sorted = [...runs].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    schema: 'story-figures/1',
    about: 'Replays that the stops of the stories name. `npm run stories` writes this file, a test compares it.',
    replays: sorted.map(([key, { result, figures }]) => {
      const [workload, mode, era] = key.split(' ') as [string, string, string];
      const head = { workload, mode, era };
      if (!isAvailable(result)) return { ...head, unavailable: result.unavailable, figures: {} };
      return {
        ...head,
        unavailable: null,
        figures: Object.fromEntries([...figures].sort().map((figure) => [figure, figureOf(result, figure)])),
      };
    }),
  };
}

function replayOf(workload: string, mode: string, era: string): ReplayResult {
  const host = modes[mode];
  if (!host) throw new Error(`no mode ${mode}; there are ${Object.keys(modes).join(', ')}`);
  // A workload of the stories' own is named by its place in the project.
  const name = workload.includes('/') ? join(projectRoot().folder, workload) : workload;
  return replay(resolvePort(era), loadWorkload(name), host);
}

function figureOf(record: ReplayRecord, figure: string): FigureValue {
  const [first] = record.entryStates;
  if (figure === 'tables') return words(record, record.roleWords.length - 1, first?.mmu);
  if (figure === 'nested tables') return words(record, record.roleWords.length - 1, 'guest_mmu');
  if (figure === 'guest walk') return words(record, 0, first?.mmu);
  const found = figuresOf(record.total).find(({ name }) => name === figure);
  if (!found) throw new Error(`no figure "${figure}"`);
  return found.value;
}

/** The words in force at guest entries with one MMU, in the order of their first appearance. */
function words({ entryStates }: ReplayRecord, index: number, wanted: string | undefined): string {
  const found = new Set<string>();
  for (const { mmu, roles } of entryStates) {
    const { base, extended } = roles[index]!;
    // What the guest's mode is made of stands in both halves, so a change of the extended one is a change of the word.
    if (mmu === wanted) found.add(extended ? `0x${extended.toString(16)}${hex32(base)}` : `0x${base.toString(16)}`);
  }
  return [...found].join(' ');
}
