// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bundles the command line to dist/, with a chunk for each command: what a command does not need costs it no start-up, and
 * one file loads sooner than the hundred it is made of.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildCore } from './core.mjs';
import { root } from './setup.mjs';

/**
 * Widths of columns in help texts. The package that yargs' own dependencies import builds tables of all emoji as it loads,
 * which takes longer than the rest of yargs; this one has the same interface. CommonJS importers keep theirs.
 */
const quickStringWidth = {
  name: 'quick-string-width',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^string-width$/ }, ({ kind }) =>
      kind === 'import-statement' ? resolve('fast-string-width', { kind, resolveDir: root }) : undefined,
    );
  },
};

/**
 * cli-table3 asks for the width of each cell several times, and the answer takes three regular expressions with all emoji.
 * Printable ASCII and the lines of frames (U+2500 to U+257F) are as wide as they are long.
 */
const quickTableWidth = {
  name: 'quick-table-width',
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /^string-width$/ }, async ({ kind, resolveDir, pluginData }) => {
      if (kind !== 'require-call' || pluginData === 'whole') return undefined;
      const { path } = await resolve('string-width', { kind, resolveDir, pluginData: 'whole' });
      return { path, namespace: 'table-width' };
    });
    onLoad({ filter: /.*/, namespace: 'table-width' }, ({ path }) => ({
      contents: `const whole = require(${JSON.stringify(path)});
        module.exports = (text) => /^[ -~\\u2500-\\u257f]*$/.test(text) ? String(text).length : whole(text);`,
      resolveDir: root,
    }));
  },
};

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

export async function build() {
  // Loaded here, as the dependencies may be installed only now.
  const { build: bundle, transform } = await import('esbuild');
  // The core stays: it is compiled anew only when its sources changed.
  for (const name of existsSync(dist) ? readdirSync(dist) : []) {
    if (name !== 'core.wasm') rmSync(join(dist, name), { recursive: true, force: true });
  }
  await buildCore();
  await bundle({
    absWorkingDir: root,
    entryPoints: { main: 'src/cli/main.ts', 'workers/tasks': 'src/workers/tasks.ts' },
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // CommonJS dependencies call `require` for Node's own modules.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    // As text, since esbuild makes a file of an object, which every other file imports.
    define: { BUILT_VERSIONS: JSON.stringify(JSON.stringify(await sourceVersions(transform))) },
    plugins: [quickStringWidth, quickTableWidth],
    // It starts threads with a script of its own.
    external: ['piscina'],
    logLevel: 'warning',
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
