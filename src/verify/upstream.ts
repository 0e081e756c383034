// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { kvmPaths } from '../upstream/paths.ts';
import type { UpstreamSource } from '../upstream/source.ts';
import type { KernelSource, Unreadable } from './source.ts';

/** Where code of the kernel's own side stands: no documentation, and no header for programs. */
const codePaths = kvmPaths.filter((path) => !/^Documentation\/|\/uapi\/|\/kvm(?:_types)?\.h$/.test(path));

/** A clone or capsule as the checks read it: what is missing there is an answer, not an error. */
export function kernelSource(upstream: UpstreamSource): KernelSource {
  return {
    name: upstream.describe(),
    listFiles: (revision) =>
      orUnreadable(async () => {
        const lists: string[][] = [];
        for (const path of codePaths) lists.push(await filesAt(upstream, revision, path));
        return new Set(lists.flat());
      }),
    readFile: (revision, path) =>
      orUnreadable(async () => {
        const text = await upstream.readFile(revision, path);
        if (text === null) throw new Error(`${path} is in the list of ${revision} and not in its tree`);
        return text;
      }),
    commitInfo: (revision) =>
      orUnreadable(async () => {
        const info = await upstream.commitInfo(revision);
        if (!info) throw await upstream.missing(revision);
        const { subject, author, authorDate } = info;
        return { kind: 'commit' as const, subject, author, authorDate };
      }),
  };
}

/** The files at a path of kvmPaths, which is a folder or a file. A capsule lists folders only, and has every text. */
async function filesAt(upstream: UpstreamSource, revision: string, path: string): Promise<string[]> {
  if (upstream.kind === 'clone' || !/\.[ch]$/.test(path)) return await upstream.listFiles(revision, path);
  return (await upstream.readFile(revision, path)) === null ? [] : [path];
}

async function orUnreadable<T>(read: () => Promise<T>): Promise<T | Unreadable> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { found, suggestion } = error.mistake;
    return { kind: 'unreadable', why: found, fetch: suggestion ?? null };
  }
}
