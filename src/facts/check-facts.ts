// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { check } from './check.ts';
import { type Facts, readFacts, readJson } from './load.ts';
import { factFiles, usesFile } from './schema.ts';

/**
 * Reads the data files of one folder and checks every one against its schema. Throws UserError with the file, the path
 * inside it, what was found and what was expected.
 */
export function checkFacts(folder: string): Facts {
  for (const [name, schema] of Object.entries(factFiles)) {
    check<unknown>(schema, readJson(folder, name), `commits/${name}`);
  }
  const uses = join(folder, 'uses');
  for (const file of existsSync(uses) ? readdirSync(uses).sort() : []) {
    check(usesFile, readJson(folder, `uses/${file}`), `commits/uses/${file}`);
  }
  return readFacts(folder);
}
