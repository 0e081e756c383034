// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { writeCapsule } from './capsule-file.ts';
import type { CloneSource } from './clone.ts';
import { kvmPaths } from './paths.ts';
import { isTag, type Plan } from './plan.ts';
import { parseRevision } from './revision.ts';
import { decodeText } from './text.ts';

/** What went into a capsule, and what the clone did not have. */
export interface Packed {
  readonly commits: number;
  readonly diffs: number;
  readonly objects: number;
  readonly bytes: number;
  /** Revisions that are not in the clone, and commits whose parent is not, in the order of the plan. */
  readonly absent: readonly { readonly revision: string; readonly why: string }[];
}

/**
 * Writes the commits of the plan, their first parents, the KVM texts of both and git's diffs between them to one file.
 * The same objects give the same bytes, from whatever clone. Throws UserError when the clone has no commit of the plan, or
 * lacks a text that it should have.
 */
export async function packCapsule(source: CloneSource, plan: Plan, file: string): Promise<Packed> {
  const found = await gather(source, plan);
  if (found.commits.size === 0) {
    throw new UserError({
      place: source.describe(),
      found: 'none of the commits that the facts name',
      expected: 'a clone of the kernel',
      suggestion: 'mmu-eras upstream sync',
    });
  }
  const objects = await objectsOf(source, [...found.commits.keys()]);
  const patches = new Map<string, string>();
  const stored = async (text: string): Promise<string> => {
    const id = (await source.run(['hash-object', '-w', '--stdin'], text)).stdout.toString('utf8').trim();
    patches.set(id, 'diff');
    return id;
  };
  const commits: Record<string, string | null> = {};
  for (const [id, patch] of sorted(found.commits)) commits[id] = patch === null ? null : await stored(patch);
  const ranges: Record<string, string> = {};
  for (const [range, patch] of sorted(found.ranges)) ranges[range] = await stored(patch);
  const { index, pack } = await packOf(source, [...sorted(objects), ...sorted(patches)]);
  const tags = Object.fromEntries(sorted(found.tags));
  writeCapsule(file, { paths: [...kvmPaths], tags, commits, ranges }, { index, pack });
  return {
    commits: found.commits.size,
    diffs: patches.size,
    objects: objects.size + patches.size,
    bytes: index.length + pack.length,
    absent: found.absent,
  };
}

interface Gathered {
  /** Full id, and its diff; null for a commit that is there as a parent. */
  readonly commits: Map<string, string | null>;
  readonly tags: Map<string, string>;
  readonly ranges: Map<string, string>;
  readonly absent: { revision: string; why: string }[];
}

async function gather(source: CloneSource, plan: Plan): Promise<Gathered> {
  const found: Gathered = { commits: new Map(), tags: new Map(), ranges: new Map(), absent: [] };
  for (const revision of plan.revisions) {
    const info = await source.commitInfo(revision);
    if (!info) {
      found.absent.push({ revision, why: 'not in the clone' });
      continue;
    }
    if (isTag(revision)) found.tags.set(revision, info.id);
    // `X^` is the parent of a commit: its texts count, not what it changed.
    if (parseRevision(revision).steps > 0) {
      if (!found.commits.has(info.id)) found.commits.set(info.id, null);
      continue;
    }
    const [parent] = info.parents;
    if (parent !== undefined && !(await source.has(parent))) {
      found.absent.push({ revision, why: `its parent ${parent} is not in the clone, so there is no diff` });
      if (!found.commits.has(info.id)) found.commits.set(info.id, null);
      continue;
    }
    found.commits.set(info.id, await source.diff(info.id, []));
    if (parent !== undefined && !found.commits.has(parent)) found.commits.set(parent, null);
  }
  for (const [from, to] of plan.ranges) {
    const [a, b] = [await source.resolve(from), await source.resolve(to)];
    if (a && b) found.ranges.set(`${a}..${b}`, await source.diffBetween(a, b, []));
  }
  return found;
}

/** Commits, the trees on the way to the KVM paths, and all below: id and path, the path as a hint for deltas. */
async function objectsOf(source: CloneSource, commits: readonly string[]): Promise<Map<string, string>> {
  const objects = new Map<string, string>();
  const blobs: string[] = [];
  for (const id of commits) {
    objects.set(id, '');
    const tree = (await source.run(['rev-parse', '--verify', `${id}^{tree}`])).stdout.toString('utf8').trim();
    objects.set(tree, '');
    const list = await source.run(['ls-tree', '-r', '-t', '-z', '--full-tree', id, '--', ...kvmPaths]);
    for (const entry of decodeText(list.stdout).split('\0').slice(0, -1)) {
      const match = /^\d+ (blob|tree) ([0-9a-f]{40})\t(.*)$/s.exec(entry);
      if (!match || objects.has(match[2]!)) continue;
      objects.set(match[2]!, match[3]!);
      if (match[1] === 'blob') blobs.push(match[2]!);
    }
  }
  const absent = await source.absent(blobs);
  if (absent.length > 0) throw await source.missingObjects(absent, 'the capsule');
  return objects;
}

/** One pack of these objects and its index, made without anything that depends on how the clone keeps them. */
async function packOf(source: CloneSource, objects: readonly (readonly [string, string])[]) {
  const options = ['--threads=1', '--no-reuse-delta', '--no-reuse-object', '--delta-base-offset', '--window=50'];
  const base = join(source.reader.folder, 'capsule');
  const input = objects.map(([id, path]) => `${id} ${path}\n`).join('');
  const hash = (await source.run(['pack-objects', '--quiet', ...options, base], input)).stdout.toString('utf8').trim();
  return { index: readFileSync(`${base}-${hash}.idx`), pack: readFileSync(`${base}-${hash}.pack`) };
}

/** Entries by value, then by key, so that versions of one file lie together and the order is always the same. */
const sorted = <V extends string | null>(map: ReadonlyMap<string, V>): [string, V][] =>
  [...map].sort(([idA, a], [idB, b]) => compare(String(a), String(b)) || compare(idA, idB));

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
