// SPDX-License-Identifier: GPL-2.0-only
import { isBelow, kvmPaths } from './paths.ts';

/** The tree without files, which git knows without having it: what a first commit is compared with. */
export const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

/** How a diff is written: git's defaults, spelled out, with full ids so that the text is the same in every clone. */
export const diffOptions: readonly string[] = [
  '--find-renames',
  '--full-index',
  '--no-color',
  '--no-ext-diff',
  '--no-textconv',
  '--src-prefix=a/',
  '--dst-prefix=b/',
];

/** One changed file of `git diff-tree --raw -z --no-renames`. */
export interface ChangedFile {
  readonly path: string;
  /** Ids of the blobs before and after, as far as there are. */
  readonly blobs: readonly string[];
  /** Added or deleted: it may be one side of a rename. */
  readonly oneSided: boolean;
}

const none = '0'.repeat(40);
const submodule = '160000';

/** Reads `:100644 100644 OLD NEW M\0path\0…`. */
export function changedFiles(raw: string): ChangedFile[] {
  const parts = raw.split('\0');
  const files: ChangedFile[] = [];
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const [oldMode, newMode, oldId, newId] = parts[at]!.slice(1).split(' ');
    const sides = [
      { mode: oldMode, id: oldId! },
      { mode: newMode, id: newId! },
    ].filter(({ id }) => id !== none);
    const blobs = sides.filter(({ mode }) => mode !== submodule).map(({ id }) => id);
    files.push({ path: parts[at + 1]!, blobs, oneSided: sides.length === 1 });
  }
  return files;
}

/** More files than this make a commit one of the whole tree, of which only the KVM files are shown. */
const manyFiles = 500;

/** The paths that a diff must look at so that files moved into or out of `wanted` are found as renames. */
export function selectedPaths(changed: readonly ChangedFile[], wanted: readonly string[]): string[] {
  if (wanted.length === 0) {
    const files = changed.map(({ path }) => path);
    return files.length <= manyFiles ? files : files.filter((path) => isBelow(path, kvmPaths));
  }
  const inside = (path: string): boolean => isBelow(path, wanted);
  if (!changed.some(({ path }) => inside(path))) return [];
  return changed
    .filter(({ path, oneSided }) => inside(path) || (oneSided && isBelow(path, kvmPaths)))
    .map(({ path }) => path);
}
