// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { commitsFolder, readJson } from './load.ts';
import type { EraRecord } from './schema.ts';
import type { StopReplay } from './story.ts';
import { isWordFigure, type StopWords, stopWords, type WordsOfReplay } from './story-words.ts';

/** One replay of commits/story-figures.json. */
export interface FiguresOfRun {
  readonly workload: string;
  readonly mode: string;
  readonly era: string;
  /** Why this era cannot run it; null when it can. */
  readonly unavailable: string | null;
  readonly figures: Readonly<Record<string, number>>;
}

export interface StoryFigures {
  readonly schema: 'story-figures/2';
  readonly about: string;
  readonly replays: readonly FiguresOfRun[];
  readonly words: readonly WordsOfReplay[];
}

/** The figures of one stop: a column an era, a row a counter, and role words apart. A replay that cannot be says why. */
export interface StopFigures {
  readonly workload: string;
  readonly mode: string;
  readonly eras: readonly string[];
  readonly rows: readonly { readonly figure: string; readonly values: readonly (number | string)[] }[];
  readonly words: readonly StopWords[];
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
    rows: replay.figures.filter(isCounter).map((figure) => ({
      figure,
      values: runs.map(({ unavailable, figures }) => unavailable ?? figures[figure] ?? missing(replay, figure)),
    })),
    words: replay.figures.filter(isWordFigure).map((figure) => stopWords(wordsOf(replay, figure, eras))),
  };
}

const isCounter = (figure: string): boolean => !isWordFigure(figure);

function wordsOf(replay: StopReplay, figure: string, eras: readonly string[]): WordsOfReplay {
  const found = loadStoryFigures().words.find(
    (words) =>
      words.workload === replay.workload &&
      words.mode === replay.mode &&
      words.figure === figure &&
      words.eras.join(' ') === eras.join(' '),
  );
  return found ?? missing(replay, `${figure} of ${eras.join(' and ')}`);
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
