// SPDX-License-Identifier: GPL-2.0-only
/** What the build puts in the place of a module, and why. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './setup.mjs';

/**
 * Widths of columns in help texts. The package that yargs' own dependencies import builds tables of all emoji as it loads,
 * which takes longer than the rest of yargs; this one has the same interface. CommonJS importers keep theirs.
 */
export const quickStringWidth = {
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
export const quickTableWidth = {
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

/** snapshots/all.ts awaits every port while it loads, which CommonJS cannot: here it imports them. */
export const everyPort = {
  name: 'every-port',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]snapshots[\\/]all\.ts$/ }, ({ path }) => {
      const list = readFileSync(join(dirname(path), 'index.ts'), 'utf8');
      const ports = [...list.matchAll(/\bimport\('([^']+)'\)/g)].map(([, port]) => port);
      const imports = ports.map((port, i) => `import { era as port${i} } from '${port}';\n`);
      return { contents: `${imports.join('')}export const eras = [${ports.map((_, i) => `port${i}`)}];`, loader: 'ts' };
    });
  },
};

/** vega-canvas awaits a package that draws, which is not installed; its form for browsers asks for none. */
export const noCanvas = {
  name: 'no-canvas',
  setup({ onResolve }) {
    onResolve({ filter: /^vega-canvas$/ }, () => ({
      path: join(root, 'node_modules', 'vega-canvas', 'build', 'vega-canvas.browser.js'),
    }));
  },
};
