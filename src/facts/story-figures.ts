// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { commitsFolder, readJson } from './load.ts';
import type { EraRecord } from './schema.ts';
import type { StopReplay } from './story.ts';

/** A count, or role words in hex with spaces between them. */
export type FigureValue = number | string;

/** One replay of commits/story-figures.json. */
export interface FiguresOfRun {
  readonly workload: string;
  readonly mode: string;
  readonly era: string;
  /** Why this era cannot run it; null when it can. */
  readonly unavailable: string | null;
  readonly figures: Readonly<Record<string, FigureValue>>;
}

export interface StoryFigures {
  readonly schema: 'story-figures/1';
  readonly about: string;
  readonly replays: readonly FiguresOfRun[];
}

/** The figures of one stop: a column an era, a row a figure. */
export interface StopFigures {
  readonly workload: string;
  readonly mode: string;
  readonly eras: readonly string[];
  readonly rows: readonly { readonly figure: string; readonly values: readonly FigureValue[] }[];
}

let cached: StoryFigures | undefined;

/** The file as it is; a test compares it with replays, so its shape is not looked at here. */
export function loadStoryFigures(): StoryFigures {
  cached ??= readJson(commitsFolder(), 'story-figures.json') as StoryFigures;
  return cached;
}

/** The eras that a stop compares: those it names, else the one before and the story's own. */
export const stopEras = ({ eras }: StopReplay, { id, previous }: EraRecord): readonly string[] =>
  eras.length > 0 ? eras : previous === null ? [id] : [previous, id];

/** What the replays of a stop counted. Throws UserError when the file has no such run. */
export function stopFigures(replay: StopReplay, era: EraRecord): StopFigures {
  const eras = stopEras(replay, era);
  const runs = eras.map((id) => runOf(replay, id));
  return {
    workload: replay.workload,
    mode: replay.mode,
    eras,
    rows: replay.figures.map((figure) => ({
      figure,
      values: runs.map(({ unavailable, figures }) => unavailable ?? figures[figure] ?? missing(replay, figure)),
    })),
  };
}

function runOf(replay: StopReplay, era: string): FiguresOfRun {
  const found = loadStoryFigures().replays.find(
    (run) => run.workload === replay.workload && run.mode === replay.mode && run.era === era,
  );
  return found ?? missing(replay, era);
}

function missing({ workload, mode }: StopReplay, what: string): never {
  throw new UserError({
    place: 'commits/story-figures.json',
    found: `no ${what} of ${workload} ${mode}`,
    expected: 'every figure that a stop names',
    suggestion: 'npm run stories',
  });
}
