// SPDX-License-Identifier: GPL-2.0-only
/** From a fresh clone to the first result: install, build, replay one workload under every era, write the report. */
import { join } from 'node:path';
import { build } from './build.mjs';
import { root, run, setup } from './setup.mjs';

const workload = 'wp-toggle';

setup();
await build();
const mmuEras = (...args) => run(process.execPath, [join(root, 'bin', 'mmu-eras.mjs'), ...args]);
mmuEras('replay', workload);
mmuEras('report', workload, '-o', 'report');
console.log('\nThe report is in report/index.html: open it in a browser (it needs no network).');
console.log('Next: bin/mmu-eras.mjs --help, or the tour in README.md.');
