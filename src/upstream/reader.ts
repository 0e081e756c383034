// SPDX-License-Identifier: GPL-2.0-only
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GitResult, runGit } from './git.ts';
import type { Located } from './locate.ts';
import { removeFolder, temporaryFolder } from './temporary.ts';

/**
 * An empty repository of our own that borrows the objects of the user's clone (as an alternate, which git never writes).
 * Commands that read objects run in it, so that no configuration, attribute, hook, graft, replacement or promisor remote
 * of the clone has a say, and nothing can be fetched or written there.
 */
export interface Reader {
  /** The folder of the empty repository. */
  readonly folder: string;
  git(args: readonly string[], input?: string): Promise<GitResult>;
  /** Takes over where the history of the clone is cut now, for commands that walk it. */
  copyShallow(): void;
  close(): void;
}

/** Makes a reader in the folder for temporary files. */
export function makeReader({ objects, commonDir }: Located): Reader {
  const folder = temporaryFolder();
  for (const name of ['objects/info', 'refs', 'info']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/none\n');
  writeFileSync(join(folder, 'config'), '[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tquotePath = false\n');
  writeFileSync(join(folder, 'objects/info/alternates'), `${alternate(objects)}\n`);
  // The kernel's own .gitattributes says so: hunk headers name functions by the rules for C.
  writeFileSync(join(folder, 'info/attributes'), '*.c diff=cpp\n*.h diff=cpp\n');
  return {
    folder,
    git: (args, input) =>
      runGit({ cwd: folder, args, env: { GIT_DIR: folder }, ...(input === undefined ? {} : { input }) }),
    copyShallow() {
      const shallow = join(commonDir, 'shallow');
      if (existsSync(shallow)) copyFileSync(shallow, join(folder, 'shallow'));
    },
    close: () => removeFolder(folder),
  };
}

/** A path as the file of alternates wants it: one that starts like a comment or a quotation is quoted. */
const alternate = (path: string): string =>
  /^["#]/.test(path) ? `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : path;
