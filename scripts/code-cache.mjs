// SPDX-License-Identifier: GPL-2.0-only
/**
 * Runs some commands of the built command line in this process, and writes beside each chunk that they loaded what V8
 * compiled of it, for src/start/load.ts. Functions that no command here runs are compiled when they are first called.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import v8 from 'node:v8';
import { root } from './setup.mjs';

const { CACHED, load, scripts } = createRequire(import.meta.url)(join(root, 'dist', 'load.cjs'));
const { run } = load(join(root, 'dist', 'chunks', 'command-line.cjs'));

const folder = mkdtempSync(join(tmpdir(), 'mmu-eras-code-'));
const trace = join(folder, 'twod-wp.mmut');

/** Together they go through what is run most, on little input. Reports, sweeps and recordings take too long to gain by it. */
const commands = [
  '--help',
  'decode 0x1234 --era all',
  'bits',
  'eras',
  'links',
  'show cr0wp',
  'log cr0_wp',
  'diff root-role cr0wp',
  'replay wp-toggle',
  'replay cr3-switch --mmu shadow',
  'compare wp-toggle root-role cr0wp',
  'uses wp-toggle',
  `gen twod-wp --events 2000 -o ${trace}`,
  `replay ${trace}`,
  `convert ${trace} ${join(folder, 'part.jsonl')} --count 5`,
];

// V8 takes code only under the flags it was made with. A replay sets some, but after its chunks are loaded.
const { setFlagsFromString } = v8;
v8.setFlagsFromString = () => {};
// Otherwise V8 drops what it has not run for a while.
setFlagsFromString('--no-flush-bytecode');

try {
  for (const command of commands) {
    await run(command.split(' '));
    // 1 is a difference found.
    if (process.exitCode > 1) throw new Error(`code cache: mmu-eras ${command} ended with ${process.exitCode}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

process.exitCode = 0;
setFlagsFromString('--flush-bytecode');
for (const [path, script] of scripts) writeFileSync(path + CACHED, script.createCachedData());
