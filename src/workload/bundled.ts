// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nearest, UserError } from '../errors.ts';
import { projectRoot } from '../root.ts';
import { readJsonlFile } from './from-jsonl.ts';
import { generate, generators } from './generators/index.ts';
import type { Workload } from './ops.ts';
import { readLines, readOpsFile } from './read.ts';

/** A workload that comes with the package. `path` leads to its file; `title` is the comment on the first line. */
export interface Bundled {
  readonly name: string;
  readonly path: string;
  readonly title: string;
}

/** The bundled workloads, ordered by name. */
export function bundledWorkloads(): Bundled[] {
  const folder = join(projectRoot().folder, 'workloads');
  const files = readdirSync(folder).filter((file) => file.endsWith('.ops'));
  const names = files.map((file) => file.slice(0, -'.ops'.length)).sort();
  return names.map((name) => {
    const path = join(folder, `${name}.ops`);
    return { name, path, title: (readLines(path)[0] ?? '').replace(/^#\s*/, '') };
  });
}

const GENERATOR_PREFIX = 'gen:';

/**
 * A workload by what the user calls it: a bundled name, the path of an `.ops` or `.jsonl` file, or a generator with its
 * options like `gen:toggle_cr0_wp?iterations=100&seed=3`. Throws a UserError when there is none, or it does not parse.
 */
export function loadWorkload(nameOrPath: string): Workload {
  const spec = generatorSpec(nameOrPath);
  if (spec) return generate(spec.name, spec.given);
  const bundled = bundledWorkloads();
  const found = bundled.find((each) => each.name === nameOrPath);
  if (found) return readOpsFile(found.path, `${found.name}.ops`);
  if (nameOrPath.endsWith('.jsonl')) return readJsonlFile(nameOrPath);
  if (/\.ops$|[\\/]/.test(nameOrPath) || existsSync(nameOrPath)) return readOpsFile(nameOrPath);
  const names = [...bundled.map((each) => each.name), ...generators.map((each) => GENERATOR_PREFIX + each.name)];
  const near = nearest(nameOrPath, [...names, ...generators.map((each) => each.name)]);
  const suggestion = generators.some((each) => each.name === near) ? `${GENERATOR_PREFIX}${near}` : near;
  throw new UserError({
    place: nameOrPath,
    found: 'no such workload',
    expected: `an .ops or .jsonl file, or one of ${names.join(' ')}`,
    ...(suggestion ? { suggestion } : {}),
  });
}

/** Name and options of `gen:NAME?option=value&option=value`; undefined for anything else. */
export function generatorSpec(text: string): { name: string; given: Readonly<Record<string, string>> } | undefined {
  if (!text.startsWith(GENERATOR_PREFIX)) return undefined;
  const [name = '', ...rest] = text.slice(GENERATOR_PREFIX.length).split('?');
  const given: Record<string, string> = {};
  for (const pair of rest.join('?').split('&')) {
    if (pair === '') continue;
    const [option = '', ...value] = pair.split('=');
    given[option] = value.join('=');
  }
  return { name, given };
}
