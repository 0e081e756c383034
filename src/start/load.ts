// SPDX-License-Identifier: GPL-2.0-only
/**
 * Loads what the build makes of the command line: chunks, each a script whose value is a function in the form of CommonJS,
 * and beside it the code that V8 made of it when the build ran some commands (scripts/code-cache.mjs). V8 then neither
 * parses nor compiles what a short command runs. Node can do that by itself from version 22 on, and V8 for no module.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

type Exports = Readonly<Record<string, unknown>>;
type Chunk = (
  exports: Exports,
  require: (name: string) => unknown,
  module: { exports: Exports },
  /** Stands for import.meta.url in the sources. */
  fileUrl: string,
) => void;

/** Extension of the file beside a chunk that has V8's code. */
export const CACHED = '.v8';

/** What was loaded, by absolute path, for who makes the code to keep. */
export const scripts = new Map<string, Script>();

const loaded = new Map<string, Exports>();
const outside = createRequire(__filename);

/**
 * The exports of a chunk, by its absolute path. Where V8's code is missing, or was made by another version of Node or with
 * other flags, V8 compiles the chunk; the build empties the folder first, so that it is never that of another chunk.
 */
export function load(path: string): Exports {
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const kept = path + CACHED;
  const script = new Script(readFileSync(path, 'utf8'), {
    filename: path,
    ...(existsSync(kept) ? { cachedData: readFileSync(kept) } : {}),
  });
  scripts.set(path, script);
  const module = { exports: {} };
  const folder = dirname(path);
  const require = (name: string): unknown => (name.startsWith('.') ? load(join(folder, name)) : outside(name));
  // The build wraps every chunk in such a function.
  (script.runInThisContext() as Chunk)(module.exports, require, module, pathToFileURL(path).href);
  loaded.set(path, module.exports);
  return module.exports;
}
