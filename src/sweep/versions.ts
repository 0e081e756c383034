// SPDX-License-Identifier: GPL-2.0-only
/**
 * Names for what a result depends on, made of contents: a cell that was computed stays good exactly as long as its
 * workload, its port, the machine and its options are the same bytes.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eraRecord } from '../facts/index.ts';

/** Folders whose code decides what a replay counts, beside the port. */
const machineFolders = ['src/sim', 'src/replay', 'src/role', 'src/workload'] as const;

/** First 128 bits of SHA-256, in hex digits. */
export function contentHash(content: string): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

/** By folders: read once, as the code that runs was loaded once. */
const known = new Map<string, string>();

/** Name of the machine as built: its files' contents. */
export const machineVersion = (): string => versionOf(machineFolders);

/** Name of an era's port as built. */
export function portVersion(era: string): string {
  const { snapshot } = eraRecord(era);
  if (snapshot === null) throw new Error(`era ${era} has no port`);
  return versionOf([`snapshots/${snapshot}`]);
}

function versionOf(folders: readonly string[]): string {
  const name = folders.join(' ');
  const version = known.get(name) ?? filesHash(folders);
  known.set(name, version);
  return version;
}

/** Over path and content of every script below the folders, in order of the paths. */
export function filesHash(folders: readonly string[], root = codeRoot()): string {
  const hash = createHash('sha256');
  let files = 0;
  for (const folder of folders) {
    for (const path of scriptsBelow(join(root, folder))) {
      const text = readFileSync(path);
      hash.update(`${relative(root, path).split(sep).join('/')}\n${text.length}\n`).update(text);
      files++;
    }
  }
  if (files === 0) throw new Error(`no code in ${folders.join(', ')} of ${root}`);
  return hash.digest('hex').slice(0, 32);
}

function scriptsBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** The folder that holds src/ and snapshots/ of the code that runs: the project's in the source, dist/ in the build. */
function codeRoot(): string {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  if (existsSync(join(root, 'snapshots')) && existsSync(join(root, 'src', 'sim'))) return root;
  throw new Error(`no src/ and snapshots/ in ${root}: what ran cannot be named`);
}
