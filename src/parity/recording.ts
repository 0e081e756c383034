// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../errors.ts';
import { parseRunInfo, type RunInfo } from './run-info.ts';

/** Counts of one phase, or of a whole run, as truth.json has them: numbers, and numbers by name. Zero is left out. */
export type TruthBlock = Readonly<Record<string, unknown>>;

/** One line of `entry_states`: what was in force at a run of guest entries. Role words are hexadecimal strings. */
export interface TruthEntry {
  readonly phase: string;
  readonly mmu: string;
  readonly root: number;
  readonly pgd: string | null;
  readonly prev_roots_valid: number;
  /** Entries in a row with this state. */
  readonly entries: number;
  readonly root_role?: string;
  readonly cpu_role?: string;
  readonly mmu_role?: string;
}

/** One exception the guest saw. */
export interface TruthFault {
  readonly vector: number;
  readonly cr2: string;
  readonly error: number;
  readonly phase: string;
}

/** One recorded run of a workload on a real kernel. */
export interface Recording {
  /** `uname -r` of the kernel. */
  readonly release: string;
  /** `npt`, `shadow-la57`, `ept` …: how the kernel's modules were loaded. */
  readonly mode: string;
  readonly workload: string;
  readonly runInfo: RunInfo;
  readonly total: TruthBlock;
  readonly phases: ReadonlyMap<string, TruthBlock>;
  readonly entryStates: readonly TruthEntry[];
  /** Name of a role word → the words seen, each with its fields that are not zero. */
  readonly roleWords: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>>;
  /** null when there is no faults file beside the run. */
  readonly faults: readonly TruthFault[] | null;
}

const SUFFIX = '.truth.json';
const truthName = /^(.+)\.truth\.json(?:\.gz)?$/;

/**
 * Every recorded run below the given folders and of the given files, by release, mode and workload. A run is
 * `<release>/<mode>/<workload>.truth.json`, with `<workload>.faults.json` and `run-info.txt` beside it; JSON may be gzipped.
 * UserError when there is none, or a file is none.
 */
export function findRecordings(paths: readonly string[]): Recording[] {
  const files = paths.flatMap((path) => truthFiles(path)).map((file) => resolve(file));
  return [...new Set(files)].sort().map(readRecording);
}

function truthFiles(path: string): string[] {
  if (!existsSync(path)) {
    throw new UserError({ place: path, found: 'no such file or folder', expected: 'recorded runs (*.truth.json)' });
  }
  if (!statSync(path).isDirectory()) return [path];
  const found = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
    truthName.test(basename(name)),
  );
  if (found.length === 0) {
    throw new UserError({
      place: path,
      found: `no *${SUFFIX} below it`,
      expected: '<release>/<mode>/<workload>.truth.json',
    });
  }
  return found.map((name) => join(path, name));
}

function readRecording(file: string): Recording {
  const folder = dirname(file);
  const workload = truthName.exec(basename(file))?.[1];
  const infoFile = join(folder, 'run-info.txt');
  if (workload === undefined || !existsSync(infoFile)) {
    throw new UserError({
      place: file,
      found: 'no recorded run',
      expected: `<release>/<mode>/<workload>${SUFFIX} with run-info.txt beside it`,
    });
  }
  const truth = readJson(file) as Partial<TruthFile>;
  const { total, phases, entry_states, role_words } = truth;
  if (!total || !phases || !entry_states || !role_words) {
    throw new UserError({
      place: file,
      found: 'fields are missing',
      expected: 'total, phases, entry_states and role_words',
    });
  }
  const faultsFile = ['', '.gz'].map((end) => join(folder, `${workload}.faults.json${end}`)).find(existsSync);
  return {
    release: basename(dirname(folder)),
    mode: basename(folder),
    workload,
    runInfo: parseRunInfo(readFileSync(infoFile, 'utf8'), infoFile),
    total,
    phases: new Map(Object.entries(phases)),
    entryStates: entry_states,
    roleWords: role_words,
    faults: faultsFile === undefined ? null : (readJson(faultsFile) as TruthFault[]),
  };
}

/** The parts of truth.json that are compared. */
interface TruthFile {
  readonly total: TruthBlock;
  readonly phases: Readonly<Record<string, TruthBlock>>;
  readonly entry_states: readonly TruthEntry[];
  readonly role_words: Recording['roleWords'];
}

function readJson(file: string): unknown {
  try {
    const bytes = readFileSync(file);
    return JSON.parse((file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UserError({ place: file, found: error.message, expected: 'JSON' });
  }
}
