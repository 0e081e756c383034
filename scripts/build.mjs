// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bundles the command line to dist/, with a chunk for each command: what a command does not need costs it no start-up, and
 * one file loads sooner than the hundred it is made of. Chunks become scripts for src/start/load.ts.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildCore } from './core.mjs';
import { everyPort, noCanvas, quickStringWidth, quickTableWidth } from './plugins.mjs';
import { root, run } from './setup.mjs';

/** By folders, the hash of the sources: what results of a sweep are kept under (src/sweep/versions.ts). */
async function sourceVersions(transform) {
  const source = readFileSync(join(root, 'src', 'sweep', 'files-hash.ts'), 'utf8');
  const { code } = await transform(source, { loader: 'ts' });
  const { filesHash, machineFolders } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  const ports = readdirSync(join(root, 'snapshots'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const groups = [machineFolders, ...ports.map(({ name }) => [`snapshots/${name}`])];
  return Object.fromEntries(groups.map((folders) => [folders.join(' '), filesHash(folders, root)]));
}

const dist = join(root, 'dist');
const common = { absWorkingDir: root, bundle: true, platform: 'node', target: 'node20', logLevel: 'warning' };

/**
 * A chunk as a function for src/start/load.ts. esbuild gives others its exports through getters, as they may be variables
 * that change. No source of ours exports one, and with fields a long replay takes three quarters of the time.
 */
async function asScript(transform, text, ours) {
  // Imports become calls of the one that the loader hands in.
  if (/\b(?:var|let|const|function) require\b/.test(text)) throw new Error('build: a package declares its own require');
  const { code } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    supported: { 'dynamic-import': false },
    banner: '(function (exports, require, module, fileUrl) {"use strict";',
    footer: `${ours ? 'module.exports = { __esModule: true, ...module.exports };\n' : ''}})`,
  });
  return code;
}

export async function build() {
  // Loaded here, as the dependencies may be installed only now.
  const { build: bundle, transform } = await import('esbuild');
  // The core stays: it is compiled anew only when its sources changed.
  for (const name of existsSync(dist) ? readdirSync(dist) : []) {
    if (name !== 'core.wasm') rmSync(join(dist, name), { recursive: true, force: true });
  }
  await buildCore();
  const { outputFiles, metafile } = await bundle({
    ...common,
    entryPoints: ['src/cli/command-line.ts', 'src/workers/tasks.ts'],
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    outdir: 'dist/chunks',
    outExtension: { '.js': '.cjs' },
    splitting: true,
    format: 'esm',
    define: {
      // As text, since esbuild makes a file of an object, which every other file imports.
      BUILT_VERSIONS: JSON.stringify(JSON.stringify(await sourceVersions(transform))),
      'import.meta.url': 'fileUrl',
    },
    plugins: [quickStringWidth, quickTableWidth, everyPort, noCanvas],
    // One starts threads with a script of its own, the other has a `require` of its own.
    external: ['piscina', 'web-tree-sitter'],
    metafile: true,
    write: false,
  });
  mkdirSync(join(dist, 'chunks'));
  for (const { path, text } of outputFiles) {
    const sources = Object.keys(metafile.outputs[relative(root, path)].inputs);
    const ours = sources.every((source) => /^(src|snapshots)\//.test(source));
    writeFileSync(path, await asScript(transform, text, ours));
  }
  await bundle({ ...common, entryPoints: ['src/start/load.ts'], outfile: 'dist/load.cjs', format: 'cjs' });
  writeFileSync(
    join(dist, 'tasks.cjs'),
    "module.exports = require('./load.cjs').load(require('node:path').join(__dirname, 'chunks', 'tasks.cjs'));\n",
  );
  // Its commands print, and on a terminal one of them opens a pager.
  run(process.execPath, [join(root, 'scripts', 'code-cache.mjs')], { stdio: ['ignore', 'ignore', 'inherit'] });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
