// SPDX-License-Identifier: GPL-2.0-only
import { pathsOf } from '../facts/index.ts';
import { isUnreadable, type KernelSource, type Unreadable } from './source.ts';
import { type SymbolTable, symbolsOf } from './symbols.ts';

/** A C file of one revision with its names. */
export interface CFile {
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly symbols: SymbolTable;
}

/** Lists each revision and reads each file once: 150 citations ask for the same mmu.c. */
export class CFiles {
  readonly #source: KernelSource;
  readonly #lists = new Map<string, Promise<ReadonlySet<string> | Unreadable>>();
  readonly #files = new Map<string, Promise<CFile | Unreadable>>();

  constructor(source: KernelSource) {
    this.#source = source;
  }

  /** Every file that a citation can mean, or why they cannot be read. None at all is an empty list. */
  async cited(revision: string, path: string): Promise<CFile[] | Unreadable> {
    return await this.present(revision, pathsOf(path));
  }

  /** Those of the paths that the revision has. */
  async present(revision: string, paths: readonly string[]): Promise<CFile[] | Unreadable> {
    const list = await once(this.#lists, revision, () => this.#source.listFiles(revision));
    if (isUnreadable(list)) return list;
    const found: CFile[] = [];
    for (const path of paths.filter((one) => list.has(one))) {
      const file = await once(this.#files, `${revision}:${path}`, () => this.#read(revision, path));
      if (isUnreadable(file)) return file;
      found.push(file);
    }
    return found;
  }

  async #read(revision: string, path: string): Promise<CFile | Unreadable> {
    const text = await this.#source.readFile(revision, path);
    if (isUnreadable(text)) return text;
    const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    return { path, text, lines, symbols: await symbolsOf(text) };
  }
}

async function once<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return await value;
}
