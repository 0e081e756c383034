// SPDX-License-Identifier: GPL-2.0-only
/** Compiles src/ and snapshots/ to dist/. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run, tool } from './setup.mjs';

export function build() {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(tool('tsc'), ['-p', 'tsconfig.build.json']);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build();
