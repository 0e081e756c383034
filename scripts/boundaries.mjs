// SPDX-License-Identifier: GPL-2.0-only
/**
 * Checks the import boundaries with dependency-cruiser, and that it saw every module there is: a run that
 * sees nothing finds nothing wrong.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, tool } from './setup.mjs';

const folders = ['src', 'snapshots'];
const modules = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true }).filter((name) => name.endsWith('.ts')),
);
const result = spawnSync(
  tool('depcruise'),
  ['--config', '.dependency-cruiser.mjs', '--output-type', 'json', ...folders],
  { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 },
);
if (!result.stdout) {
  console.error(result.stderr);
  process.exit(2);
}
const { modules: seenModules, summary } = JSON.parse(result.stdout);
const seen = seenModules.filter((module) => /^(src|snapshots)\/.*\.ts$/.test(module.source)).length;
for (const violation of summary.violations) {
  console.error(`${violation.rule.name}: ${violation.from} -> ${violation.to}`);
}
if (seen < modules.length) {
  console.error(`boundaries: dependency-cruiser saw ${seen} of ${modules.length} modules`);
  process.exit(1);
}
console.error(`boundaries: ${seen} modules, ${summary.violations.length} violations`);
process.exit(summary.violations.length === 0 ? 0 : 1);
