// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bundles the command line to dist/, with a chunk for each command: what a command does not need costs it no start-up, and
 * one file loads sooner than the hundred it is made of.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

export async function build() {
  // Loaded here, as the dependencies may be installed only now.
  const { build: bundle } = await import('esbuild');
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  await bundle({
    absWorkingDir: root,
    entryPoints: ['src/cli/main.ts'],
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
    plugins: [quickStringWidth],
    logLevel: 'warning',
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
