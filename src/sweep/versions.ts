// SPDX-License-Identifier: GPL-2.0-only
/**
 * Names for what a result depends on, made of contents: a cell that was computed stays good exactly as long as its
 * workload, its port, the machine and its options are the same bytes.
 */
import { createHash, type Hash } from 'node:crypto';
import { eraRecord } from '../facts/index.ts';
import { projectRoot } from '../root.ts';
import { filesHash, machineFolders } from './files-hash.ts';

/** Hashes of the sources that a bundle was made of, by folders, as JSON; the build puts it in, so that code names itself. */
declare const BUILT_VERSIONS: string | undefined;

/** First 128 bits of SHA-256, in hex digits. */
export const contentHash = (content: string): string => digestOf(createHash('sha256').update(content));

/** The same of what comes piece by piece. */
export const digestOf = (sha256: Hash): string => sha256.digest('hex').slice(0, 32);

/** By folders: read once, as the code that runs was loaded once. */
const known = new Map<string, string>();

/** Name of the machine that runs: its files' contents. */
export const machineVersion = (): string => versionOf(machineFolders);

/** Name of an era's port that runs. */
export function portVersion(era: string): string {
  const { snapshot } = eraRecord(era);
  if (snapshot === null) throw new Error(`era ${era} has no port`);
  return versionOf([`snapshots/${snapshot}`]);
}

function versionOf(folders: readonly string[]): string {
  const name = folders.join(' ');
  const version = builtVersion(name) ?? known.get(name) ?? filesHash(folders, projectRoot().folder);
  known.set(name, version);
  return version;
}

/** Undefined where the sources themselves run. */
function builtVersion(name: string): string | undefined {
  if (typeof BUILT_VERSIONS === 'undefined') return undefined;
  // What the build put in.
  const version = (JSON.parse(BUILT_VERSIONS) as Readonly<Record<string, string>>)[name];
  if (version === undefined) throw new Error(`the build has no version of ${name}`);
  return version;
}
