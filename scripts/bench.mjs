// SPDX-License-Identifier: GPL-2.0-only
/** Compiles the machine, the ports and test/bench/ as the build compiles them, and runs the benchmark: docs/performance.md. */
import { join } from 'node:path';
import { buildCore } from './core.mjs';
import { root, run, tool } from './setup.mjs';

await buildCore();
// Types are checked by `npm run types`.
run(tool('tsc'), ['-p', 'tsconfig.bench.json']);
const script = process.argv[2] === 'workers' ? 'workers-main.js' : 'main.js';
run(process.execPath, [join(root, 'dist', 'bench', 'test', 'bench', script), root, ...process.argv.slice(2)]);
