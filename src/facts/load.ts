// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { projectRoot } from '../root.ts';
import type { EraRecord, FactFiles, LayoutRecord, Series, UsesTable } from './schema.ts';

/** Everything in commits/ that is data. Stories and tables of uses are read one by one: `storyText`, `usesOf`. */
export interface Facts {
  /** In the order of the code: every era after the one it follows. */
  readonly eras: readonly EraRecord[];
  readonly roleBits: FactFiles['role-bits.json'];
  readonly milestones: FactFiles['milestones.json'];
  readonly noUnloadV2: Series;
  /** Layouts of role-bits.json and layouts.json, oldest first. */
  readonly layouts: readonly LayoutRecord[];
}

let cached: Facts | undefined;

/**
 * Reads commits/*.json, once a process. Their shape is not looked at: that takes the schemas, which cost more time to load
 * than most commands take. `checkFacts` does it for the tests, so the data that is committed has it.
 */
export function loadFacts(): Facts {
  cached ??= readFacts(commitsFolder());
  return cached;
}

/** Reads the data files of one folder. Throws UserError when a file is not there, no JSON, or names what none has. */
export function readFacts(folder: string): Facts {
  const roleBits = readFactFile(folder, 'role-bits.json');
  const layouts: LayoutRecord[] = [...roleBits.layouts];
  for (const layout of readFactFile(folder, 'layouts.json').layouts) {
    const at = layouts.findIndex(({ id }) => id === layout.after);
    if (at < 0) throw missingReference('commits/layouts.json', `${layout.id}.after`, layout.after, layouts);
    layouts.splice(at + 1, 0, layout);
  }
  const { eras } = readFactFile(folder, 'eras.json');
  for (const era of eras) {
    if (!layouts.some(({ id }) => id === era.layout)) {
      throw missingReference('commits/eras.json', `${era.id}.layout`, era.layout, layouts);
    }
    for (const other of [era.previous, era.before?.era ?? null]) {
      if (other !== null && !eras.some(({ id }) => id === other)) {
        throw missingReference('commits/eras.json', era.id, other, eras);
      }
    }
  }
  return {
    eras,
    roleBits,
    milestones: readFactFile(folder, 'milestones.json'),
    noUnloadV2: readFactFile(folder, 'no-unload-v2.json'),
    layouts,
  };
}

/** The table of uses of one era, or undefined when there is none. */
export function usesOf(id: string): UsesTable | undefined {
  const name = `uses/${id}.json`;
  // Its shape is that of the schema: see loadFacts.
  return existsSync(join(commitsFolder(), name)) ? (readJson(commitsFolder(), name) as UsesTable) : undefined;
}

/** The story of one era as Markdown, or undefined when there is none. */
export function storyText(id: string): string | undefined {
  const path = join(commitsFolder(), 'stories', `${id}.md`);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Absolute path of commits/. */
export const commitsFolder = (): string => join(projectRoot().folder, 'commits');

function readFactFile<Name extends keyof FactFiles>(folder: string, name: Name): FactFiles[Name] {
  // Its shape is that of the schema: see loadFacts.
  return readJson(folder, name) as FactFiles[Name];
}

/** One file of commits/ as it is. Throws UserError when it is not there or no JSON. */
export function readJson(folder: string, name: string): unknown {
  const place = `commits/${name}`;
  let text: string;
  try {
    text = readFileSync(join(folder, name), 'utf8');
  } catch {
    throw new UserError({ place, found: 'no such file', expected: 'a data file of the facts' });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError({ place, found: (error as Error).message, expected: 'JSON' });
  }
}

function missingReference(file: string, path: string, found: string, known: readonly { id: string }[]): UserError {
  const expected = `one of ${known.map(({ id }) => id).join(', ')}`;
  return new UserError({ place: `${file} at ${path}`, found: JSON.stringify(found), expected });
}
