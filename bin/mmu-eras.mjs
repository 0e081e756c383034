#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('mmu-eras is not built yet: run `npm start` or `npm run build` in the project folder');
  process.exit(2);
}
await import(main.href);
