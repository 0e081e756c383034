// SPDX-License-Identifier: GPL-2.0-only
/** The build's chunks run as well without V8's code, and with it V8 compiles nothing of what it keeps. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CACHED } from '../../src/start/load.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const command = ['decode', '0x1234', '--era', 'v6.1'];

/** A copy of the built project whose files a test may spoil. */
let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'mmu-eras-start-'));
  for (const name of ['package.json', 'bin', 'dist']) cpSync(join(root, name), join(copy, name), { recursive: true });
  for (const name of ['commits', 'node_modules']) symlinkSync(join(root, name), join(copy, name));
});
afterAll(() => {
  rmSync(copy, { recursive: true });
});

const codeFiles = (): string[] =>
  readdirSync(join(copy, 'dist', 'chunks'))
    .filter((name) => name.endsWith(CACHED))
    .map((name) => join(copy, 'dist', 'chunks', name));

function mmuEras(folder: string, flags: readonly string[] = []) {
  const args = [...flags, join(folder, 'bin', 'mmu-eras.mjs'), ...command];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Runs the command line and lists the chunks that it loaded, by whether V8 took their code. */
function loadedBy(args: readonly string[]): { taken: string[]; compiled: string[] } {
  const script = `
    const { load, scripts } = require('./dist/load.cjs');
    const { run } = load(require('node:path').resolve('dist/chunks/command-line.cjs'));
    process.stdout.write = () => true;
    run(${JSON.stringify(args)}).then(() => {
      const names = (wanted) => [...scripts].filter(([, { cachedDataRejected }]) => (cachedDataRejected === false) === wanted);
      console.error(JSON.stringify({ taken: names(true).map(([path]) => path), compiled: names(false).map(([path]) => path) }));
    });`;
  const { stderr } = spawnSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' });
  return JSON.parse(stderr);
}

describe('code that the build keeps', () => {
  it.each([
    [command, 10],
    [['replay', 'gen:twod-wp?events=500', '--era', 'cr0wp'], 30],
    [['compare', 'wp-toggle', 'root-role', 'cr0wp'], 20],
  ])('is taken for every chunk of %j', (args, least) => {
    const { taken, compiled } = loadedBy(args);
    expect(compiled).toEqual([]);
    expect(taken.length).toBeGreaterThan(least);
  });

  it('changes nothing when V8 has other flags, when it is damaged, and when it is missing', () => {
    const expected = mmuEras(root);
    expect(expected).toMatchObject({ status: 0, stderr: '' });
    expect(mmuEras(copy)).toEqual(expected);
    expect(mmuEras(copy, ['--no-opt'])).toEqual(expected);
    const files = codeFiles();
    expect(files.length).toBeGreaterThan(50);
    for (const file of files) writeFileSync(file, readFileSync(file).subarray(0, 100));
    expect(mmuEras(copy)).toEqual(expected);
    for (const file of files) writeFileSync(file, '');
    expect(mmuEras(copy)).toEqual(expected);
    for (const file of files) rmSync(file);
    expect(mmuEras(copy)).toEqual(expected);
  });
});

it('no source exports a variable that may change, since chunks copy what they import', () => {
  const sources = ['src', 'snapshots'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.startsWith(join('sim', 'core')))
      .map((name) => join(folder, name)),
  );
  expect(sources.length).toBeGreaterThan(300);
  expect(sources.filter((name) => /^export (let|var) /m.test(readFileSync(join(root, name), 'utf8')))).toEqual([]);
});
