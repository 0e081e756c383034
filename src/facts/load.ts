// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { UserError } from '../errors.ts';
import { check } from './check.ts';
import {
  type EraRecord,
  erasFile,
  type LayoutRecord,
  layoutsFile,
  milestonesFile,
  roleBitsFile,
  type Series,
  seriesFile,
  type UsesTable,
  usesFile,
} from './schema.ts';

/** Everything in commits/ that is data. Stories and tables of uses are read one by one: `storyText`, `usesOf`. */
export interface Facts {
  /** In the order of the code: every era after the one it follows. */
  readonly eras: readonly EraRecord[];
  readonly roleBits: z.infer<typeof roleBitsFile>;
  readonly milestones: z.infer<typeof milestonesFile>;
  readonly noUnloadV2: Series;
  /** Layouts of role-bits.json and layouts.json, oldest first. */
  readonly layouts: readonly LayoutRecord[];
}

let cached: Facts | undefined;

/** Reads and checks commits/*.json, once a process. Throws UserError with file, path inside it, found and expected. */
export function loadFacts(): Facts {
  cached ??= readFacts(commitsFolder());
  return cached;
}

/** Reads and checks the data files of one folder, e.g. a copy under test. */
export function readFacts(folder: string): Facts {
  const roleBits = check(roleBitsFile, readJson(folder, 'role-bits.json'), 'commits/role-bits.json');
  const added = check(layoutsFile, readJson(folder, 'layouts.json'), 'commits/layouts.json').layouts;
  const layouts: LayoutRecord[] = [...roleBits.layouts];
  for (const layout of added) {
    const at = layouts.findIndex(({ id }) => id === layout.after);
    if (at < 0) throw missingReference('commits/layouts.json', `${layout.id}.after`, layout.after, layouts);
    layouts.splice(at + 1, 0, layout);
  }
  const { eras } = check(erasFile, readJson(folder, 'eras.json'), 'commits/eras.json');
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
    milestones: check(milestonesFile, readJson(folder, 'milestones.json'), 'commits/milestones.json'),
    noUnloadV2: check(seriesFile, readJson(folder, 'no-unload-v2.json'), 'commits/no-unload-v2.json'),
    layouts,
  };
}

/** The table of uses of one era, or undefined when there is none. */
export function usesOf(id: string): UsesTable | undefined {
  const name = `uses/${id}.json`;
  if (!existsSync(`${commitsFolder()}${name}`)) return undefined;
  return check(usesFile, readJson(commitsFolder(), name), `commits/${name}`);
}

/** The story of one era as Markdown, or undefined when there is none. */
export function storyText(id: string): string | undefined {
  const path = `${commitsFolder()}stories/${id}.md`;
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** commits/ stands two folders above the source, three above the build, four above that of the benchmark. Ends with a separator. */
export function commitsFolder(): string {
  for (const path of ['../../commits/', '../../../commits/', '../../../../commits/']) {
    const url = new URL(path, import.meta.url);
    if (existsSync(new URL('eras.json', url))) return fileURLToPath(url);
  }
  throw new Error('the folder commits/ of kvm-mmu-eras was not found');
}

function readJson(folder: string, name: string): unknown {
  const place = `commits/${name}`;
  let text: string;
  try {
    text = readFileSync(folder.endsWith('/') ? folder + name : `${folder}/${name}`, 'utf8');
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
