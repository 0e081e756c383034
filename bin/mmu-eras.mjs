#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
if (!existsSync(`${dist}/load.cjs`)) {
  console.error('mmu-eras is not built yet: run `npm start` or `npm run build` in the project folder');
  process.exit(2);
}
const { load } = createRequire(import.meta.url)(`${dist}/load.cjs`);
await load(`${dist}/chunks/command-line.cjs`).run(process.argv.slice(2));
