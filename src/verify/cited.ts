// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { usesTable } from '../facts/index.ts';
import { projectRoot } from '../root.ts';
import { type Citation, citationsOf } from './citations.ts';
import { commentsOf } from './comments.ts';

const ofPorts = new Map<string, readonly Citation[]>();
const ofUses = new Map<string, readonly Citation[]>();

/** Everything that the port in one folder of snapshots/ cites in the comments of its files. Read once a process. */
export const citedByPort = (folder: string): readonly Citation[] => once(ofPorts, folder, readPort);

/**
 * What the table of uses of one era cites; the revision of what a series added that was never merged is the era's id.
 * Read once a process.
 */
export const citedByUses = (era: string): readonly Citation[] => once(ofUses, era, readUses);

function once(known: Map<string, readonly Citation[]>, key: string, read: (key: string) => Citation[]) {
  const found = known.get(key) ?? read(key);
  known.set(key, found);
  return found;
}

function readPort(folder: string): Citation[] {
  const root = join(portsFolder(), folder);
  return readdirSync(root)
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .flatMap((name) => {
      const source = readFileSync(join(root, name), 'utf8');
      return commentsOf(source).flatMap((comment) => citationsOf(comment, `snapshots/${folder}/${name}`));
    });
}

function readUses(era: string): Citation[] {
  return usesTable(era).rows.map((row, index) => ({
    at: `commits/uses/${era}.json row ${index + 1}`,
    revision: row.source,
    path: row.file,
    symbol: row.function,
    line: row.line ?? null,
    about: false,
    declares: null,
    commits: [],
  }));
}

/** snapshots/ with the sources of the ports. */
export const portsFolder = (): string => join(projectRoot().folder, 'snapshots');
