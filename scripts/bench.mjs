// SPDX-License-Identifier: GPL-2.0-only
/** Compiles the machine, the ports and test/bench/ as the build compiles them, and runs the benchmark: docs/performance.md. */
import { join } from 'node:path';
import { root, run, tool } from './setup.mjs';

// Types are checked by `npm run types`.
run(tool('tsc'), ['-p', 'tsconfig.bench.json']);
const scripts = { workers: 'workers-main.js', fused: 'fused-main.js' };
const script = scripts[process.argv[2]] ?? 'main.js';
run(process.execPath, [join(root, 'dist', 'bench', 'test', 'bench', script), root, ...process.argv.slice(2)]);
