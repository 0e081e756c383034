// SPDX-License-Identifier: GPL-2.0-only
/** The command line from its sources, for `npm run dev`; bin/mmu-eras.mjs runs what the build makes. */
import { run } from './command-line.ts';

await run(process.argv.slice(2));
