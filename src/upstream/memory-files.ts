// SPDX-License-Identifier: GPL-2.0-only
import type { PromiseFsClient } from 'isomorphic-git';

/** Files in memory, by absolute path, as the file system that isomorphic-git reads from. Writing is refused. */
export function memoryFiles(files: ReadonlyMap<string, Buffer>): PromiseFsClient {
  const children = (folder: string): string[] => {
    const names = new Set<string>();
    for (const path of files.keys()) {
      if (path.startsWith(`${folder}/`)) names.add(path.slice(folder.length + 1).split('/')[0]!);
    }
    return [...names];
  };
  const stat = async (path: string) => {
    const file = files.get(path);
    const isFolder = !file && children(path).length > 0;
    if (!file && !isFolder) throw absent(path);
    return {
      type: file ? 'file' : 'dir',
      mode: file ? 0o100444 : 0o040555,
      size: file?.length ?? 0,
      ino: 0,
      mtimeMs: 0,
      ctimeMs: 0,
      uid: 0,
      gid: 0,
      dev: 0,
      isFile: () => file !== undefined,
      isDirectory: () => isFolder,
      isSymbolicLink: () => false,
    };
  };
  const refuse = async (path: string): Promise<never> => {
    throw Object.assign(new Error(`EROFS: read-only, ${path}`), { code: 'EROFS' });
  };
  return {
    promises: {
      async readFile(path: string, options?: string | { encoding?: string }) {
        const file = files.get(path);
        if (!file) throw absent(path);
        const encoding = typeof options === 'string' ? options : options?.encoding;
        return encoding === 'utf8' ? file.toString('utf8') : file;
      },
      async readdir(path: string) {
        const names = children(path);
        if (names.length === 0) throw absent(path);
        return names;
      },
      stat,
      lstat: stat,
      readlink: refuse,
      symlink: refuse,
      writeFile: refuse,
      unlink: refuse,
      mkdir: refuse,
      rmdir: refuse,
    },
  };
}

const absent = (path: string): Error => Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
