// SPDX-License-Identifier: GPL-2.0-only
/** Compiles the machine, the ports and test/bench/ as the build compiles them, and runs the benchmark: docs/performance.md. */
import { join } from 'node:path';
import { build } from './build.mjs';
import { buildCore } from './core.mjs';
import { root, run, tool } from './setup.mjs';

// What starts is the command line as it is now.
if (process.argv[2] === 'start') await build();
else await buildCore();
// Types are checked by `npm run types`.
run(tool('tsc'), ['-p', 'tsconfig.bench.json']);
const scripts = { workers: 'workers-main.js', fused: 'fused-main.js', start: 'start-main.js' };
const script = scripts[process.argv[2]] ?? 'main.js';
run(process.execPath, [join(root, 'dist', 'bench', 'test', 'bench', script), root, ...process.argv.slice(2)]);
