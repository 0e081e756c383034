// SPDX-License-Identifier: GPL-2.0-only
/** All checks: format and lint, types, boundaries, unused code, build, then every test. Ends with `N passed, N failed`. */
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.mjs';
import { run, setup, tool } from './setup.mjs';

setup();
run(tool('biome'), ['check', '.']);
run(tool('tsc'), ['--noEmit']);
run(tool('tsc'), ['-p', 'src/sim/core', '--noEmit']);
run(process.execPath, ['scripts/boundaries.mjs']);
run(tool('knip'), ['--no-progress']);
await build();
run(process.execPath, ['scripts/docs.mjs']);

const report = join(tmpdir(), `mmu-eras-test-${process.pid}.json`);
const tests = run(
  tool('vitest'),
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { allowFailure: true },
);
const { numPassedTests, numFailedTests, numTotalTests } = JSON.parse(readFileSync(report, 'utf8'));
rmSync(report);
console.log(`${numPassedTests} passed, ${numFailedTests} failed`);
process.exit(tests.status === 0 && numTotalTests > 0 ? 0 : 1);
