// SPDX-License-Identifier: GPL-2.0-only
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { type Write, writeRefused, writeWhole } from '../files.ts';
import { type CellResult, cellResultSchema } from './cell.ts';

const keptSchema = z.object({ key: z.string(), result: cellResultSchema });

/** Temporary files are named after who writes them: KEY.HOST.PID.tmp. */
const temporaryName = /\.([^.]*)\.(\d+)\.tmp$/;
const host = hostname().replaceAll('.', '-');

/**
 * Finished cells in a folder, one file each, named by key. A file appears whole or not at all, so several sweeps and
 * shards may share a folder without asking each other.
 */
export class CellStore {
  readonly folder: string;
  readonly #write: Write | undefined;

  /** `write` takes the place of the system's. */
  constructor(folder: string, write?: Write) {
    this.folder = folder;
    this.#write = write;
  }

  /** A finished cell; null when it is not there, or when its file is not what was written (a crash of the machine). */
  get(key: string): CellResult | null {
    try {
      const kept: unknown = JSON.parse(readFileSync(this.#path(key), 'utf8'));
      const checked = keptSchema.safeParse(kept);
      if (!checked.success || checked.data.key !== key) return null;
      // Checked above; the schema leaves out what it does not look at.
      return (kept as { result: CellResult }).result;
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw writeRefused(this.folder, error, 'a folder for finished cells');
    }
  }

  /** Keeps a finished cell. What the system says to it is thrown as it is, and nothing half-written is left. */
  put(key: string, result: CellResult): void {
    const path = this.#path(key);
    mkdirSync(join(path, '..'), { recursive: true });
    writeWhole(path, [`${JSON.stringify({ key, result })}\n`], {
      temporary: `${path}.${host}.${process.pid}.tmp`,
      ...(this.#write ? { write: this.#write } : {}),
    });
  }

  /** Removes what processes of this host that are no more left behind when they were killed. */
  removeLeftovers(): void {
    for (const name of this.#files()) {
      const [, of, pid] = temporaryName.exec(name) ?? [];
      if (of === host && !isAlive(Number(pid))) rmSync(join(this.folder, name), { force: true });
    }
  }

  #files(): string[] {
    try {
      return readdirSync(this.folder, { recursive: true, encoding: 'utf8' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw writeRefused(this.folder, error, 'a folder for finished cells');
    }
  }

  /** 256 folders, as some file systems are slow with very many files in one. */
  #path(key: string): string {
    return join(this.folder, key.slice(0, 2), `${key}.json`);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
